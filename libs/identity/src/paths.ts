import { join } from 'node:path';

/** A PEM certificate and its PEM private key (PKCS #8). */
export interface CertificatePaths {
  readonly cert: string;
  readonly key: string;
}

export interface PkiPaths {
  readonly dir: string;
  readonly ca: CertificatePaths;
  readonly server: CertificatePaths;
  readonly clientsDir: string;
  client(identity: string): CertificatePaths;
}

/** Where everything of a private CA lies below `certsDir` (`$SANCTUM_HOME/certs`). */
export function pkiPaths(certsDir: string): PkiPaths {
  const pair = (stem: string): CertificatePaths => ({
    cert: join(certsDir, `${stem}.crt`),
    key: join(certsDir, `${stem}.key`),
  });
  return {
    dir: certsDir,
    ca: pair('ca'),
    server: pair('server'),
    clientsDir: join(certsDir, 'clients'),
    client: (identity) => pair(join('clients', identity)),
  };
}
