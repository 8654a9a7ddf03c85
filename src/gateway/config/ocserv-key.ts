/** What is known of one key of `ocserv.conf`: parser, notices and the table in the documentation are made from it. */

export interface OcservKeySpec<Name extends string = string> {
  readonly name: Name;
  /** Older or longer names for the same. */
  readonly aliases?: readonly string[];
  readonly type: ValueType;
  /** Each line adds a value; else the last one counts. */
  readonly isList?: true;
  /** As one would write it. Absent: nothing is set. */
  readonly default?: string;
  /** What stands for the default in the documentation, where that is no value of its own. */
  readonly defaultText?: string;
  /** `global`: of the default host only. `host`: each virtual host has its own. */
  readonly scope: 'global' | 'host';
  /** Whether it may stand in files of users and groups; `only`: nowhere else. */
  readonly supplements?: 'too' | 'only';
  /** Read again at SIGHUP; `file`: the file that it names is. */
  readonly reload?: 'yes' | 'file';
  /** For the documentation: a phrase. */
  readonly meaning: string;
  /** Why it does nothing here: said at start, with the line, whenever a file has it. */
  readonly unsupported?: string;
}

export type ValueType = 'flag' | 'number' | 'seconds' | 'milliseconds' | 'bytes' | 'text' | 'path' | 'address' | 'network';

export const NUMERIC_TYPES: readonly ValueType[] = ['number', 'seconds', 'milliseconds', 'bytes'];
