/** One network protocol of a link: its automaton, and whether there is any use in it. */
import type { Millis } from '../tunnel/packet.ts';
import { Automaton, type Identifiers, type SendControl } from './automaton.ts';
import type { Negotiation } from './negotiation.ts';

export class NetworkControl<N extends Negotiation = Negotiation> {
  readonly negotiation: N;
  readonly automaton: Automaton;
  readonly family: 4 | 6;
  #offBecause: string | undefined;

  constructor(family: 4 | 6, negotiation: N, identifiers: Identifiers) {
    this.family = family;
    this.negotiation = negotiation;
    this.automaton = new Automaton(negotiation, identifiers, 1);
  }

  /** Why the family is off for this link, for good; undefined: it is not. */
  get offBecause(): string | undefined {
    return this.#offBecause;
  }

  get isOpened(): boolean {
    return this.#offBecause === undefined && this.automaton.state === 'opened';
  }

  /** LCP is opened. */
  start(now: Millis, send: SendControl): void {
    if (this.#offBecause === undefined) this.automaton.start(now, send);
  }

  /** False: it was off before. */
  turnOff(why: string): boolean {
    if (this.#offBecause !== undefined) return false;
    this.#offBecause = why;
    this.automaton.reset();
    return true;
  }

  /** To be called after each step. True: the family has just gone off. */
  settle(): boolean {
    return this.automaton.state === 'stopped' && this.turnOff(this.automaton.why ?? 'It was ended.');
  }
}
