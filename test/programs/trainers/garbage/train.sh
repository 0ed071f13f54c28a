cat /dev/urandom
