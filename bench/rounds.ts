/** Rounds: both sides in turns, and in turns first, so that whatever changes on the machine meanwhile meets both alike. */
import { type Figure, type Measurement, nameOf, type Transport, type Unit } from './figures.ts';
import { type Samples, SIDES, type Side } from './statistics.ts';

/** What is measured of one side in one round: a number for each of these names. */
export type Measured<Name extends string> = Readonly<Record<Name, number>>;

/** @param measure Measures one side once, under the same names each time. */
export async function alternate<Name extends string>(
  rounds: number,
  measure: (side: Side, round: number) => Promise<Measured<Name>>,
): Promise<Map<Name, Samples>> {
  const samples = new Map<Name, Record<Side, number[]>>();
  for (let round = 0; round < rounds; round++) {
    const order = round % 2 === 0 ? SIDES : SIDES.toReversed();
    for (const side of order) {
      const measured = await measure(side, round);
      for (const [name, number] of Object.entries(measured) as [Name, number][]) {
        const both = samples.get(name) ?? { sallyport: [], reference: [] };
        both[side].push(number);
        samples.set(name, both);
      }
    }
  }
  return samples;
}

/**
 * Measures both sides over each transport, and says on standard error how far it is.
 *
 * @param units What is measured, each with its unit.
 * @param measure Measures one side over one transport once.
 * @param transports Which, in their order.
 */
export async function measureInTurns<Name extends string>(
  measurement: Measurement,
  rounds: number,
  units: Readonly<Record<Name, Unit>>,
  measure: (side: Side, transport: Transport) => Promise<Measured<Name>>,
  transports: readonly Transport[] = ['dtls', 'tls'],
): Promise<Figure[]> {
  const figures: Figure[] = [];
  for (const transport of transports) {
    const measured = await alternate(rounds, (side, round) => {
      console.error(`${measurement}, ${transport}, round ${round + 1} of ${rounds}: ${nameOf(measurement, side)}`);
      return measure(side, transport);
    });
    for (const [name, samples] of measured) figures.push({ measurement, transport, name, unit: units[name], samples });
  }
  return figures;
}
