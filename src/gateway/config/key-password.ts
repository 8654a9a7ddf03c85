/** The password of a private key, from the text of its file. */
import { Secret } from '../../core/secret.ts';

/** As ocserv takes it: the first line. */
export function keyPasswordIn(text: string): Secret {
  return new Secret(text.split(/\r?\n/, 1)[0] ?? '');
}
