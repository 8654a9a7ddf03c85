/** What a network interface can be called. */
import { MisuseError } from '../core/errors.ts';

/** IFNAMSIZ, with the zero at the end. */
export const NAME_LENGTH = 16;

/** The kernel's rule for names (dev_valid_name), without the `%` of patterns. Throws {@link MisuseError}. */
export function checkInterfaceName(name: string): void {
  if (name.length === 0 || name.length >= NAME_LENGTH || name === '.' || name === '..' || !/^[!-~]+$/.test(name) || /[/:%]/.test(name)) {
    throw new MisuseError(
      `"${name}" cannot be the name of an interface: 1 to ${NAME_LENGTH - 1} printable ASCII characters without blanks, "/", ":" and "%"`,
    );
  }
}
