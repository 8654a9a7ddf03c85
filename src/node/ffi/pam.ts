/**
 * libpam: log-ins as the machine's administrator has set them up in /etc/pam.d.
 *
 * Every call blocks, and so does the conversation: use it in a process of its own that can be ended.
 *
 * Read first: pam(3), pam_conv(3), pam_authenticate(3), getgrouplist(3). Linux-PAM's structures: elsewhere they differ.
 */
import { UnsupportedError } from '../../core/errors.ts';
import { Arena } from './arena.ts';
import { koffi, type NativeFunction, nativeLibrary } from './koffi.ts';

const LIBRARY = 'libpam.so.0';

/** security/_pam_types.h */
export const PAM = {
  success: 0,
  newTokenRequired: 12,
  bufferError: 5,
  conversationError: 19,
  promptEchoOff: 1,
  promptEchoOn: 2,
  errorMessage: 3,
  textInfo: 4,
  maxMessages: 32,
  itemUser: 2,
  itemTty: 3,
  itemRemoteHost: 4,
  changeExpiredToken: 0x20,
} as const;

const POINTER = 8;
/** `struct pam_response`: a pointer and an int, padded. */
const RESPONSE_SIZE = 16;
/** `struct passwd`: two pointers, then user and group. */
const PASSWD_GID_OFFSET = 20;

const MAX_GROUPS = 1_024;
const ARENA_SIZE = 65_536;

/** Answers one message; undefined: the conversation is over. Messages that ask nothing are answered with ''. */
export type Converse = (style: number, text: string) => string | undefined;

type PamCall = 'authenticate' | 'acct_mgmt' | 'chauthtok' | 'open_session' | 'close_session';

export class PamTransaction {
  readonly #native: ReturnType<typeof bind>;
  readonly #memory = new Arena(ARENA_SIZE);
  readonly #handle: number;
  #lastCode: number = PAM.success;

  /** Throws {@link UnsupportedError} where koffi or libpam is missing, or the service cannot be started. */
  constructor(service: string, user: string, converse: Converse) {
    this.#native = bind();
    const { start, library } = this.#native;
    const callback = library.register(
      (count, messages, responses) => this.#converse(converse, count ?? 0, messages ?? 0, responses ?? 0),
      conversationType(library),
    );
    const conversation = this.#memory.allocate(2 * POINTER);
    this.#memory.view.setBigUint64(conversation, callback, true);
    const handle = this.#memory.allocate(POINTER);
    const code = start(service, user, this.#memory.address(conversation), this.#memory.address(handle));
    if (code !== PAM.success) throw new UnsupportedError(`PAM cannot start the service "${service}" (code ${code})`);
    this.#handle = Number(this.#memory.view.getBigUint64(handle, true));
  }

  /** One step of the transaction; its code. */
  call(name: PamCall, flags = 0): number {
    this.#lastCode = this.#native.calls[name](this.#handle, flags);
    return this.#lastCode;
  }

  setItem(item: number, value: string): void {
    this.#native.setItem(this.#handle, item, value);
  }

  /** Who it is by now: modules may have changed the name. */
  user(): string | undefined {
    const place = this.#memory.allocate(POINTER);
    if (this.#native.getItem(this.#handle, PAM.itemUser, this.#memory.address(place)) !== PAM.success) return undefined;
    // The place holds a pointer to the text: what decoding a text at the place follows.
    return this.#native.library.decode(BigInt(this.#memory.address(place)), 0, 'str') ?? undefined;
  }

  end(): void {
    this.#native.end(this.#handle, this.#lastCode);
  }

  /** Linux-PAM: `messages` is an array of pointers to (int style, char *text); the answers are memory that PAM frees. */
  #converse(converse: Converse, count: number, messages: number, responses: number): number {
    const { library, calloc, strdup } = this.#native;
    if (count < 1 || count > PAM.maxMessages) return PAM.conversationError;
    const answers = calloc(count, RESPONSE_SIZE);
    if (answers === 0) return PAM.bufferError;
    for (let i = 0; i < count; i++) {
      const message = BigInt(library.decode(BigInt(messages), i * POINTER, 'uintptr_t'));
      const answer = converse(library.decode(message, 0, 'int'), library.decode(message, POINTER, 'str') ?? '');
      if (answer === undefined) return PAM.conversationError; // the process ends: the memory goes with it
      library.encode(BigInt(answers), i * RESPONSE_SIZE, 'uintptr_t', strdup(answer));
    }
    library.encode(BigInt(responses), 0, 'uintptr_t', answers);
    return PAM.success;
  }
}

/** The groups of a user of the system whose number is `minGid` or more; the user's own first. */
export function groupsOfUser(user: string, minGid: number): readonly string[] {
  const purpose = 'Looking up groups';
  const library = koffi(purpose);
  const libc = nativeLibrary(purpose);
  const entry = BigInt(libc.func('uintptr_t getpwnam(str)')(user));
  if (entry === 0n) return [];
  const gid = library.decode(entry, PASSWD_GID_OFFSET, 'uint32_t');
  const memory = new Arena(ARENA_SIZE);
  const list = memory.allocate(4 * MAX_GROUPS);
  const count = memory.allocate(4);
  memory.view.setInt32(count, MAX_GROUPS, true);
  libc.func('int getgrouplist(str, uint32_t, uintptr_t, uintptr_t)')(user, gid, memory.address(list), memory.address(count));
  const nameOf = libc.func('uintptr_t getgrgid(uint32_t)');
  const groups: string[] = [];
  for (let i = 0; i < Math.min(memory.view.getInt32(count, true), MAX_GROUPS); i++) {
    const number = memory.view.getUint32(list + 4 * i, true);
    const group = number < minGid ? 0n : BigInt(nameOf(number));
    const name = group === 0n ? null : library.decode(group, 0, 'str');
    if (name !== null) groups.push(name);
  }
  return groups;
}

function conversationType(library: ReturnType<typeof koffi>): object {
  return library.pointer(library.proto('int sallyport_pam_converse(int, uintptr_t, uintptr_t, uintptr_t)'));
}

function bind() {
  const purpose = 'Log-in by PAM';
  const library = koffi(purpose);
  const libc = nativeLibrary(purpose);
  let pam: { func(prototype: string): NativeFunction };
  try {
    pam = library.load(LIBRARY);
  } catch (cause) {
    throw new UnsupportedError(`${purpose} needs the library ${LIBRARY}, which is not installed.`, { cause });
  }
  const call = (name: PamCall) => pam.func(`int pam_${name}(uintptr_t, int)`);
  return {
    library,
    start: pam.func('int pam_start(str, str, uintptr_t, uintptr_t)'),
    end: pam.func('int pam_end(uintptr_t, int)'),
    setItem: pam.func('int pam_set_item(uintptr_t, int, str)'),
    getItem: pam.func('int pam_get_item(uintptr_t, int, uintptr_t)'),
    calls: {
      authenticate: call('authenticate'),
      acct_mgmt: call('acct_mgmt'),
      chauthtok: call('chauthtok'),
      open_session: call('open_session'),
      close_session: call('close_session'),
    },
    calloc: libc.func('uintptr_t calloc(size_t, size_t)'),
    strdup: libc.func('uintptr_t strdup(str)'),
  };
}
