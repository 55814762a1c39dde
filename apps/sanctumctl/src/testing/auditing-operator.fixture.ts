import { auditOperator } from '../commands/audit.js';
import { Operator } from './operator.js';

/** Decides again and again, in the home it is given. */
const [home = '', name = '', times = ''] = process.argv.slice(2);
const { site } = new Operator(home);
for (let index = 0; index < Number(times); index += 1) {
  await auditOperator(site, 'secret_written', { name, index });
}
