"""Builds a hash-locked virtual environment once: python environment.py CACHE NAME LOCK_FILE

Prints what it does, and at last `ready PYTHON`. Exit 3: this Python cannot do it, the reason is printed.
The folder is CACHE/NAME-KEY, where KEY covers the lock file, the Python and the platform. A virtual environment cannot be
moved, so it is built in place and counts only once its `.ready` is there. The kernel's lock lets one build at a time; pip
holds it too, so that nobody clears away a folder that a stray pip still writes to.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig

OLDEST = (3, 10)
UNUSABLE = 3


def say(text):
    print(text)
    sys.stdout.flush()


def why_unusable():
    version = "%d.%d.%d" % sys.version_info[:3]
    if sys.version_info < OLDEST:
        return "Python %s is older than %d.%d" % ((version,) + OLDEST)
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        package = "python%d.%d-venv" % sys.version_info[:2]
        return "Python %s cannot make virtual environments; on Debian or Ubuntu: apt-get install %s" % (version, package)
    return None


def key_of(lock):
    platform = [sys.version, sysconfig.get_platform(), str(sysconfig.get_config_var("EXT_SUFFIX"))]
    return hashlib.sha256("\n".join(platform).encode() + b"\n" + lock).hexdigest()[:24]


def run(command, held):
    """Its output is ours, a line at a time; the lock is handed down."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, pass_fds=(held,), text=True)
    for line in process.stdout:
        say(line.rstrip())
    if process.wait() != 0:
        say("%s ended with exit code %d" % (" ".join(command[:4]), process.returncode))
        sys.exit(1)


def build(folder, python, lock, held):
    shutil.rmtree(folder, ignore_errors=True)
    say("making a virtual environment with Python %d.%d.%d" % sys.version_info[:3])
    run([sys.executable, "-I", "-m", "venv", folder], held)
    pinned = os.path.join(folder, "requirements.lock")
    with open(pinned, "wb") as file:  # what the key covers, should the original change meanwhile
        file.write(lock)
    quiet = ["--no-input", "--disable-pip-version-check", "--progress-bar", "off", "--no-warn-script-location"]
    exact = ["--require-hashes", "--no-deps", "--only-binary", ":all:"]
    run([python, "-I", "-m", "pip", "install"] + quiet + exact + ["-r", pinned], held)


def main(cache, name, lock_file):
    import fcntl

    with open(lock_file, "rb") as file:
        lock = file.read()
    folder = os.path.join(os.path.abspath(cache), "%s-%s" % (name, key_of(lock)))
    python = os.path.join(folder, "bin", "python")
    ready = os.path.join(folder, ".ready")
    os.makedirs(cache, exist_ok=True)
    with open(folder + ".lock", "w") as guard:
        try:
            fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            say("another process builds this environment, waiting for it")
            fcntl.flock(guard, fcntl.LOCK_EX)
        # A dangling link: the Python it was made with is gone.
        if not (os.path.exists(ready) and os.path.exists(python)):
            build(folder, python, lock, guard.fileno())
            with open(ready, "w") as file:
                os.fsync(file.fileno())
    say("ready " + python)


if __name__ == "__main__":
    reason = why_unusable()
    if reason is not None:
        say(reason)
        sys.exit(UNUSABLE)
    main(*sys.argv[1:])
