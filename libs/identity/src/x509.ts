import 'reflect-metadata';
import { webcrypto } from 'node:crypto';
import * as x509 from '@peculiar/x509';

x509.cryptoProvider.set(webcrypto);

/** The one door to the X.509 library: it needs the metadata polyfill first and Node's WebCrypto. */
export { x509 };
