/**
 * The settings of one section of `ocserv.conf`, or of a file of a user or group: values by key, with the table's defaults.
 *
 *   lines ── takeSetting ──► OcservSection ── flag, number, text, list ──► what the configuration is made from
 *
 * What a number or a flag is not, ocserv reads as something all the same (`90s` as 90, `maybe` as false). So do we, and say so.
 */
import type { Millis } from '../../core/tunnel/packet.ts';
import type { ConfigReport } from './config-report.ts';
import { WHOLE_FILE } from './config-report.ts';
import { NUMERIC_TYPES } from './ocserv-key.ts';
import { keySpec, type OcservKey, specOf } from './ocserv-keys.ts';
import type { OcservLine } from './ocserv-lines.ts';

export interface Setting {
  readonly value: string;
  readonly line: number;
}

/** Spec "Gateway contract", section 1: list keys repeat, at most 96 entries. */
const MAX_LIST_ENTRIES = 96;

/** ocserv keeps numbers in 32 bits. */
const MAX_NUMBER = 0x7fff_ffff;

const SECOND: Millis = 1000;

/** Old names of which ocserv says what they are called now. */
const REPLACED_NAMES = ['use-seccomp', 'use-dbus', 'always-require-cert'];

export class OcservSection {
  readonly report: ConfigReport;
  /** Where complaints about missing keys go. */
  readonly place: { readonly line: number };
  readonly #settings = new Map<OcservKey, Setting[]>();

  constructor(report: ConfigReport, place: { readonly line: number } = WHOLE_FILE) {
    this.report = report;
    this.place = place;
  }

  /** Takes a line whose key is known, and says what its value does not do. */
  take(line: OcservLine): void {
    const spec = keySpec(line.key);
    if (spec === undefined) throw new Error(`the key '${line.key}' was not looked up`);
    const at = { line: line.line };
    if (REPLACED_NAMES.includes(line.key)) this.report.note(at, `'${line.key}' was replaced by '${spec.name}'`);
    if (line.value === '') {
      this.report.warning(at, `'${line.key}' has no value: the line is skipped`);
      return;
    }
    if (spec.unsupported !== undefined && !(spec.type === 'flag' && !isTrue(line.value))) {
      this.report.warning(at, `'${line.key}' has no effect here: ${spec.unsupported}`);
    }
    const settings = this.#settings.get(spec.name) ?? [];
    if (spec.isList === true && settings.length >= MAX_LIST_ENTRIES) {
      this.report.warning(at, `only the first ${MAX_LIST_ENTRIES} values of '${line.key}' are used`);
      return;
    }
    // always-require-cert = false is cisco-client-compat = true.
    const value = line.key === 'always-require-cert' ? String(!isTrue(line.value)) : line.value;
    if (spec.type === 'flag' && !/^(true|yes|false|no)$/i.test(value))
      this.report.warning(at, `'${line.key}' is true or false, not '${value}': it is read as false`);
    if (NUMERIC_TYPES.includes(spec.type)) this.#checkNumber(line, at);
    this.#settings.set(spec.name, spec.isList === true ? [...settings, { value, line: line.line }] : [{ value, line: line.line }]);
  }

  has(key: OcservKey): boolean {
    return this.#settings.has(key);
  }

  /** Where a key stands; where it is not there, where its absence is complained about. */
  placeOf(key: OcservKey): { readonly line: number } {
    const line = this.#settings.get(key)?.at(-1)?.line;
    return line === undefined ? this.place : { line };
  }

  list(key: OcservKey): readonly Setting[] {
    return this.#settings.get(key) ?? [];
  }

  text(key: OcservKey): string | undefined {
    return this.#settings.get(key)?.at(-1)?.value ?? specOf(key).default;
  }

  flag(key: OcservKey): boolean {
    return isTrue(this.text(key) ?? 'false');
  }

  number(key: OcservKey): number | undefined {
    const text = this.text(key);
    return text === undefined ? undefined : leadingNumber(text);
  }

  /** Of a key that has a default. */
  count(key: OcservKey): number {
    return this.number(key) ?? 0;
  }

  /** Of a key that has a default. */
  seconds(key: OcservKey): Millis {
    return this.count(key) * SECOND;
  }

  /** Undefined where it is absent or 0: both mean that there is no such time. */
  optionalSeconds(key: OcservKey): Millis | undefined {
    const seconds = this.count(key);
    return seconds === 0 ? undefined : seconds * SECOND;
  }

  #checkNumber({ key, value }: OcservLine, at: { readonly line: number }): void {
    if (/^\d+$/.test(value) && Number(value) <= MAX_NUMBER) return;
    if (/^-/.test(value)) this.report.error(at, `'${key}' cannot be negative: '${value}'`);
    else if (Number(/^\d+/.exec(value)?.[0] ?? 0) > MAX_NUMBER) this.report.error(at, `'${key}' is at most ${MAX_NUMBER}, not '${value}'`);
    else this.report.warning(at, `'${key}' is a number, not '${value}': it is read as ${leadingNumber(value)}`);
  }
}

/** Observed: `TRUE` and `Yes` are true; `1` and `on` are not. */
function isTrue(value: string): boolean {
  return /^(true|yes)$/i.test(value);
}

/** Observed: as atoi reads it, in base ten. */
function leadingNumber(text: string): number {
  return Number(/^\+?(\d+)/.exec(text)?.[1] ?? 0);
}
