/**
 * Proportional Rate Reduction: during a recovery as much leaves as arrives, scaled so that the window ends at its new size.
 *
 * Read first: RFC 9937 §6 (RFC 6937 §3).
 */
export class ProportionalRate {
  #flightAtStart = 1;
  #delivered = 0;
  #sent = 0;

  begin(flight: number): void {
    this.#flightAtStart = Math.max(1, flight);
    this.#delivered = this.#sent = 0;
  }

  /** The window after an acknowledgement. `isSafe`: it moved on without reporting a further loss. */
  window(delivered: number, inFlight: number, threshold: number, segment: number, isSafe: boolean): number {
    this.#delivered += delivered;
    let allowed: number;
    if (inFlight > threshold) {
      allowed = Math.ceil((this.#delivered * threshold) / this.#flightAtStart) - this.#sent;
    } else {
      let limit = Math.max(this.#delivered - this.#sent, delivered);
      if (isSafe) limit += segment;
      allowed = Math.min(threshold - inFlight, limit);
    }
    // The first retransmission leaves at once, whatever the sums say.
    const least = this.#sent === 0 ? segment : 0;
    return inFlight + Math.max(allowed, least);
  }

  sent(bytes: number): void {
    this.#sent += bytes;
  }
}
