/**
 * Runs one tunnel machine as the driver does, but in memory, and holds it to its law: a machine that is called again from a sink, writes on a path
 * that is gone, or takes room without giving it back fails the test.
 */
import assert from 'node:assert/strict';
import { isIpPacket } from '../../../../src/core/tunnel/inner-packet.ts';
import { type LayerSink, MAX_RESERVE } from '../../../../src/core/tunnel/layer.ts';
import type { CloseReason, Path, PathPlan, TunnelEvent, TunnelMachine, TunnelSink } from '../../../../src/core/tunnel/machine.ts';
import { type Millis, type Packet, packetBytes, packetOf } from '../../../../src/core/tunnel/packet.ts';
import { TinyEngine } from '../../../../test/support/tiny-engine.ts';
import type { FakeClock, Timed } from '../../../support/fake-clock.ts';

/** The offset of DTLS's application data in an opened record. */
const APPLICATION_DATA = 0x17;

/** One end of a connection or flow: what is written on it goes to `write`. */
export class TestPath implements Path, LayerSink {
  readonly kind: Path['kind'];
  readonly #end: TunnelEnd;
  readonly #write: (bytes: Uint8Array) => void;
  #room: Uint8Array | undefined;
  isOpen = true;
  /** Carries the path's data from the moment that the machine describes it. */
  engine: TinyEngine | undefined;
  sentAt: Millis = 0;
  heardAt: Millis = 0;
  tunnelMtu = 0;

  constructor(kind: Path['kind'], end: TunnelEnd, write: (bytes: Uint8Array) => void) {
    this.kind = kind;
    this.#end = end;
    this.#write = write;
  }

  reserve(maxLength: number): Uint8Array {
    assert.ok(this.#end.isRunning, 'room taken outside of a call');
    assert.ok(this.isOpen, `something is written on a ${this.kind} that is gone`);
    assert.equal(this.#room, undefined, 'room taken before the last one was given back');
    assert.ok(maxLength <= MAX_RESERVE);
    this.#room = new Uint8Array(maxLength).fill(0xa5);
    return this.#room;
  }

  commit(length: number): void {
    const room = this.#room ?? assert.fail('nothing was reserved');
    assert.ok(length <= room.length && length > 0);
    this.#room = undefined;
    this.#send(this.engine === undefined ? room.slice(0, length) : this.engine.seal(room.subarray(0, length)));
  }

  packet(packet: Packet): void {
    assert.equal(this.#room, undefined, 'a packet came up while room was taken');
    assert.ok(this.isOpen, `a packet came from a ${this.kind} that is gone`);
    this.#end.deliver(new Uint8Array(packetBytes(packet)));
  }

  /** As the engine does it: a packet of the device, sealed without asking the machine. */
  carry(packet: Uint8Array): void {
    const engine = this.engine ?? assert.fail('the engine does not carry this path');
    this.#send(engine.seal(Uint8Array.of(APPLICATION_DATA, 0, ...packet)));
  }

  #send(bytes: Uint8Array): void {
    this.sentAt = this.#end.now;
    this.#write(bytes);
  }
}

export class TunnelEnd implements Timed {
  readonly machine: TunnelMachine;
  readonly #clock: FakeClock;
  readonly #onOpen: (plan: PathPlan) => void;
  readonly #paths = new Set<TestPath>();
  readonly #pending: TunnelEvent[] = [];
  readonly #sink: TunnelSink;
  /** Whole, in order. */
  readonly events: TunnelEvent[] = [];
  /** What came to the device. */
  readonly delivered: Uint8Array[] = [];
  onDelivered: (packet: Uint8Array) => void = () => undefined;
  closed: CloseReason | undefined;
  /** The path that packets leave by. */
  up: TestPath | undefined;
  mtu = 0;
  isRunning = false;

  constructor(machine: TunnelMachine, clock: FakeClock, onOpen: (plan: PathPlan) => void) {
    this.machine = machine;
    this.#clock = clock;
    this.#onOpen = onOpen;
    this.#sink = {
      on: (path) => {
        assert.ok(this.isRunning, 'a sink is used outside of a call');
        assert.ok(path instanceof TestPath && this.#paths.has(path), 'a path that is not there');
        return path;
      },
      event: (event) => this.#event(event),
    };
    clock.attach(this);
  }

  get now(): Millis {
    return this.#clock.now;
  }

  get paths(): readonly TestPath[] {
    return [...this.#paths];
  }

  /** `stream` or `datagram` for each change of the way out, in order. */
  get ups(): string[] {
    return this.events.flatMap((event) => (event.type === 'up' ? [event.path.kind] : []));
  }

  /** A call of the machine, and what follows of it. */
  turn(input: (machine: TunnelMachine, sink: TunnelSink) => void): void {
    assert.ok(!this.isRunning, 'the machine is called while it runs');
    this.isRunning = true;
    input(this.machine, this.#sink);
    this.isRunning = false;
    for (let event = this.#pending.shift(); event !== undefined; event = this.#pending.shift()) this.#perform(event);
  }

  add(path: TestPath): void {
    this.#paths.add(path);
  }

  /** The path is gone without the machine's being told. */
  remove(path: TestPath): void {
    path.isOpen = false;
    this.#paths.delete(path);
  }

  receive(path: TestPath, bytes: Uint8Array): void {
    if (!path.isOpen) return;
    let input = bytes;
    if (path.engine !== undefined) {
      const opened = path.engine.open(bytes);
      if (opened === undefined) return;
      path.heardAt = this.now;
      if (opened[0] === APPLICATION_DATA && opened[1] === 0 && isIpPacket(opened, 2, opened.length)) {
        this.deliver(new Uint8Array(opened.subarray(2)));
        return;
      }
      input = opened;
    }
    // As Node has them: a Buffer, whose slice() is no copy, and whose memory is soon another's. Machines may open in place, and must not keep it.
    const lent = Buffer.from(input);
    this.turn((machine, sink) => machine.receive(path, lent, this.now, sink));
    lent.fill(0xee);
  }

  send(packet: Uint8Array): void {
    if (this.up?.engine !== undefined && packet.length <= this.up.tunnelMtu) this.up.carry(packet);
    else this.turn((machine, sink) => machine.send(packetOf(packet), this.now, sink));
  }

  deliver(packet: Uint8Array): void {
    this.delivered.push(packet);
    this.onDelivered(packet);
  }

  nextTimeout(): Millis | undefined {
    return this.machine.nextTimeout();
  }

  handleTimeout(now: Millis): void {
    this.turn((machine, sink) => {
      for (const path of this.#paths) {
        if (path.engine !== undefined) machine.notice(path, { type: 'carried', heardAt: path.heardAt, sentAt: path.sentAt }, now, sink);
      }
      machine.handleTimeout(now, sink);
    });
  }

  #event(event: TunnelEvent): void {
    assert.ok(this.isRunning, 'an event outside of a call');
    assert.equal(this.closed, undefined, `${event.type} after the end`);
    this.events.push(event);
    if (event.type !== 'traffic') {
      this.#pending.push(event);
      if (event.type === 'closed') this.closed = event.reason;
      return;
    }
    const path = event.path as TestPath;
    assert.ok(this.#paths.has(path), 'traffic of a path that is gone');
    assert.equal(path.engine, undefined, 'the traffic of a path is described once');
    const traffic = event.traffic ?? assert.fail('withdrawn, but never described');
    assert.ok('seal' in traffic, 'no stream is said to have an engine here');
    path.engine = new TinyEngine(traffic);
    path.tunnelMtu = traffic.tunnelMtu;
  }

  #perform(event: TunnelEvent): void {
    switch (event.type) {
      case 'open':
        this.#onOpen(event.plan);
        break;
      case 'drop':
        assert.ok(this.#paths.has(event.path as TestPath), 'a path is dropped that is not there');
        this.remove(event.path as TestPath);
        break;
      case 'config':
        this.mtu = event.config.mtu;
        break;
      case 'up':
        assert.ok(this.#paths.has(event.path as TestPath), 'a path is up that is not there');
        this.up = event.path as TestPath;
        break;
      case 'closed':
        for (const path of this.#paths) this.remove(path);
        this.#clock.detach(this);
        assert.equal(this.machine.nextTimeout(), undefined, 'nothing is awaited after the end');
        break;
      case 'update-keys':
        break; // nothing to see in memory
      case 'traffic':
        break; // performed at once
      default:
        event satisfies never;
    }
  }
}
