/** LZS, written as the specification says it and in no other way: slow, and what the fast one is compared with. */

/** Text of zeros and ones in, bytes out; undefined where decoding must fail. */
export function referenceDecodeLzs(input: Uint8Array, maxOutput: number): Uint8Array | undefined {
  const bits = Array.from(input, (byte) => byte.toString(2).padStart(8, '0')).join('');
  let at = 0;
  const take = (width: number): number | undefined => {
    if (at + width > bits.length) return undefined;
    at += width;
    return Number.parseInt(bits.slice(at - width, at), 2);
  };
  const takeLength = (): number | undefined => {
    const rest = bits.slice(at);
    const code = /^(?:(00|01|10)|11(00|01|10)|1111((?:1111)*)((?!1111)\d{4}))/.exec(rest);
    if (code === null) return undefined;
    at += code[0].length;
    if (code[1] !== undefined) return 2 + Number.parseInt(code[1], 2);
    if (code[2] !== undefined) return 5 + Number.parseInt(code[2], 2);
    return 8 + 15 * ((code[3] ?? '').length / 4) + Number.parseInt(code[4] ?? '', 2);
  };
  const output: number[] = [];
  for (;;) {
    const isCopy = take(1);
    if (isCopy === undefined) return undefined;
    if (isCopy === 0) {
      const literal = take(8);
      if (literal === undefined) return undefined;
      output.push(literal);
    } else {
      const isShort = take(1);
      const offset = take(isShort === 1 ? 7 : 11);
      if (isShort === 1 && offset === 0) return Uint8Array.from(output);
      const length = takeLength();
      if (offset === undefined || offset === 0 || offset > output.length || length === undefined) return undefined;
      for (let i = 0; i < length; i++) output.push(output[output.length - offset] ?? 0);
    }
    if (output.length > maxOutput) return undefined;
  }
}

/** Greedy: at each place the longest match among the nearest `maxCandidates` places that begin with the same two bytes. */
export function referenceEncodeLzs(input: Uint8Array, maxCandidates: number): Uint8Array {
  let bits = '';
  const binary = (value: number, width: number) => value.toString(2).padStart(width, '0');
  let at = 0;
  while (at < input.length) {
    let best = { length: 0, offset: 0 };
    let candidates = 0;
    for (let offset = 1; offset <= Math.min(at, 2047) && candidates < maxCandidates; offset++) {
      let length = 0;
      while (at + length < input.length && input[at + length - offset] === input[at + length]) length++;
      if (length >= 2) candidates++;
      if (length >= 2 && length > best.length) best = { length, offset };
    }
    if (best.length === 0) {
      bits += `0${binary(input[at] ?? 0, 8)}`;
      at += 1;
    } else {
      bits += best.offset < 128 ? `11${binary(best.offset, 7)}` : `10${binary(best.offset, 11)}`;
      if (best.length < 5) bits += binary(best.length - 2, 2);
      else if (best.length < 8) bits += `11${binary(best.length - 5, 2)}`;
      else bits += '1111'.repeat(1 + Math.floor((best.length - 8) / 15)) + binary((best.length - 8) % 15, 4);
      at += best.length;
    }
  }
  bits += '110000000';
  return Uint8Array.from(bits.match(/.{1,8}/g) ?? [], (byte) => Number.parseInt(byte.padEnd(8, '0'), 2));
}
