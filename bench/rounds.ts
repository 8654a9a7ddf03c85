/** Rounds: both clients in turns, and in turns first, so that whatever changes on the machine meanwhile meets both alike. */
import { type Figure, type Measurement, TRANSPORTS, type Transport, type Unit } from './figures.ts';
import { CLIENTS, type ClientName, type Samples } from './statistics.ts';

/** What is measured of one client in one round: a number for each of these names. */
export type Measured<Name extends string> = Readonly<Record<Name, number>>;

/** @param measure Measures one client once, under the same names each time. */
export async function alternate<Name extends string>(
  rounds: number,
  measure: (client: ClientName, round: number) => Promise<Measured<Name>>,
): Promise<Map<Name, Samples>> {
  const samples = new Map<Name, Record<ClientName, number[]>>();
  for (let round = 0; round < rounds; round++) {
    const order = round % 2 === 0 ? CLIENTS : CLIENTS.toReversed();
    for (const client of order) {
      const measured = await measure(client, round);
      for (const [name, number] of Object.entries(measured) as [Name, number][]) {
        const both = samples.get(name) ?? { sallyport: [], openconnect: [] };
        both[client].push(number);
        samples.set(name, both);
      }
    }
  }
  return samples;
}

/**
 * Measures both clients over each transport, and says on standard error how far it is.
 *
 * @param units What is measured, each with its unit.
 * @param measure Measures one client over one transport once.
 */
export async function measureInTurns<Name extends string>(
  measurement: Measurement,
  rounds: number,
  units: Readonly<Record<Name, Unit>>,
  measure: (client: ClientName, transport: Transport) => Promise<Measured<Name>>,
): Promise<Figure[]> {
  const figures: Figure[] = [];
  for (const transport of TRANSPORTS) {
    const measured = await alternate(rounds, (client, round) => {
      console.error(`${measurement}, ${transport}, round ${round + 1} of ${rounds}: ${client}`);
      return measure(client, transport);
    });
    for (const [name, samples] of measured) figures.push({ measurement, transport, name, unit: units[name], samples });
  }
  return figures;
}
