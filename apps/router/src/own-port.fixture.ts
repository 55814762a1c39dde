import { pickFreePorts } from '@sanctum/catalog';

/** A port for a server that a test stops, and maybe starts again: nobody else is given it meanwhile. */
export async function ownPort(): Promise<number> {
  return (await pickFreePorts(['own'])).own;
}
