import { execFileSync } from 'node:child_process';
import { join } from 'node:path';

export interface Certificate {
  readonly certificate: string;
  readonly key: string;
}

/** An authority of our own, which signs certificates of 127.0.0.1 and localhost; files in PEM. */
export interface Authority {
  readonly certificate: string;
  sign(name: string): Certificate;
}

const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'];

export function createAuthority(folder: string, name = 'authority'): Authority {
  const file = (of: string) => join(folder, of);
  const openssl = (...args: string[]) => execFileSync('openssl', args, { stdio: 'pipe' });
  const [certificate, key] = [file(`${name}.pem`), file(`${name}.key`)];
  openssl('req', '-x509', ...curve, '-subj', `/CN=${name}`, '-keyout', key, '-out', certificate);
  return {
    certificate,
    sign(of) {
      const made = { certificate: file(`${of}.pem`), key: file(`${of}.key`) };
      const names = [
        '-addext',
        'subjectAltName=IP:127.0.0.1,DNS:localhost',
        '-addext',
        'basicConstraints=critical,CA:FALSE',
      ];
      openssl('req', '-x509', ...curve, '-subj', `/CN=${of}`, ...names, '-CA', certificate, '-CAkey', key, '-keyout', made.key, '-out', made.certificate); // prettier-ignore
      return made;
    },
  };
}
