import { SERVICES, type ServiceName } from '@sanctum/contracts';

/** TypeScript that imports a library of the workspace, run as it lies here. */
const name: ServiceName = 'router';
process.stdout.write(`${SERVICES[name]}\n`);
