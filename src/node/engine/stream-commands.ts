/** The worker's part of the commands about TLS connections: see stream-messages.ts. */
import { MisuseError, UnsupportedError } from '../../core/errors.ts';
import { systemError } from '../ffi/errno.ts';
import { LINUX } from '../ffi/libc.ts';
import { type TlsHandle, TlsSession } from '../ffi/openssl-tls.ts';
import { OpenSslTls } from '../ffi/openssl-tls-calls.ts';
import type { TlsSettings } from '../ffi/openssl-tls-context.ts';
import { VIRTIO_HEADER_LENGTH } from '../ffi/tun.ts';
import type { FeatureState } from './features.ts';
import { FrameRun, RUN_ROOM } from './frame-run.ts';
import type { Command } from './messages.ts';
import type { PacketSwitch } from './packet-switch.ts';
import { FIRST_PATH_DESCRIPTOR } from './shared-memory.ts';
import type { StreamCommands as Commands, StreamReport } from './stream-messages.ts';
import { PLAINTEXT_ROOM, type StreamRoom } from './stream-room.ts';
import type { WorkerContext } from './worker-context.ts';
import { WorkerStream } from './worker-stream.ts';

type StreamCommand = Extract<Command, { readonly name: keyof Commands }>;

export class StreamCommands {
  readonly #context: WorkerContext;
  readonly #switch: PacketSwitch;
  #room: StreamRoom | undefined;

  constructor(context: WorkerContext, packets: PacketSwitch) {
    this.#context = context;
    this.#switch = packets;
  }

  /** Made when first asked for: a tunnel over UDP alone needs none of it. @throws UnsupportedError where OpenSSL's functions are not there, or not wanted */
  get room(): StreamRoom {
    this.#room ??= this.#makeRoom();
    return this.#room;
  }

  /** Of all parts of the engine: whether there can be TLS is tried for it. */
  get features(): readonly FeatureState[] {
    try {
      this.#room ??= this.#makeRoom();
    } catch (error) {
      if (!(error instanceof UnsupportedError)) throw error; // else the states say why
    }
    return this.#context.features.states;
  }

  #makeRoom(): StreamRoom {
    const { arena, features } = this.#context;
    if (!features.allows('tls')) throw new UnsupportedError('TLS in the packet engine does not run');
    try {
      const tls = OpenSslTls.bind();
      features.turnOn('tls');
      const plaintext = arena.allocate(VIRTIO_HEADER_LENGTH + PLAINTEXT_ROOM) + VIRTIO_HEADER_LENGTH;
      return { tls, plaintext, run: new FrameRun(arena.allocate(RUN_ROOM)) };
    } catch (error) {
      if (error instanceof UnsupportedError) features.turnOff('tls', error.message);
      throw error;
    }
  }

  execute(command: StreamCommand): unknown {
    const { name, takes } = command;
    switch (name) {
      case 'open-stream':
        return this.#open(takes.path, takes.fd, takes.tls);
      case 'shake-hands':
        return this.#streamAt(takes.path).shakeHands();
      case 'export-keys':
        return this.#streamAt(takes.path).exportKeys(takes.label, takes.length);
      case 'update-keys':
        return this.#streamAt(takes.path).updateKeys();
      case 'settle-stream':
        return undefined;
      case 'end-stream':
        return this.#streamAt(takes.path).end();
      case 'unacknowledged':
        return takes.paths.reduce((sum, id) => sum + this.#unacknowledgedOf(id), 0);
    }
    name satisfies never;
  }

  /** @throws UnsupportedError where OpenSSL's functions are not there */
  #open(id: number, theirs: number, from: TlsSettings | TlsHandle): undefined {
    const { libc, memory } = this.#context;
    const counters = memory.pathCounters(id);
    const fd = libc.fcntl(theirs, LINUX.F_DUPFD_CLOEXEC, 0);
    try {
      if (fd < 0) throw systemError('the socket of a TLS connection', libc.errno());
      counters.fill(0);
      const report = (each: StreamReport) => this.#context.report({ type: 'stream-report', path: id, report: each });
      const { room } = this;
      const session = 'ssl' in from ? TlsSession.adopt(room.tls, from) : TlsSession.create(room.tls, from);
      this.#switch.setPath(id, new WorkerStream(this.#context, room, id, fd, counters, session, report));
      memory.descriptors[FIRST_PATH_DESCRIPTOR + id] = fd + 1;
    } catch (error) {
      if (fd >= 0) libc.close(fd);
      throw error;
    } finally {
      if ('identity' in from) from.identity?.key.fill(0); // the copy that came with the message, whatever became of it
    }
  }

  /** 0 of one that is closed. */
  #unacknowledgedOf(id: number): number {
    const path = this.#switch.path(id);
    return path instanceof WorkerStream ? path.unacknowledged : 0;
  }

  #streamAt(id: number): WorkerStream {
    const path = this.#switch.path(id);
    if (!(path instanceof WorkerStream)) throw new MisuseError('this TLS connection is closed');
    return path;
  }
}
