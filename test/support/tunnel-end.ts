/**
 * Runs one tunnel machine as the driver does, but in memory, and holds it to its law: a machine that is called again from a sink, writes on a path
 * that is gone, or takes room without giving it back fails the test.
 */
import assert from 'node:assert/strict';
import { NetworkError } from '../../src/core/errors.ts';
import { type LayerSink, MAX_RESERVE } from '../../src/core/tunnel/layer.ts';
import type { CloseReason, Path, PathPlan, TunnelEvent, TunnelMachine, TunnelSink } from '../../src/core/tunnel/machine.ts';
import { type Millis, type Packet, packetBytes, packetOf } from '../../src/core/tunnel/packet.ts';
import { SourceFilter } from '../../src/core/tunnel/source-filter.ts';
import type { FakeClock, Timed } from './fake-clock.ts';
import { TinyEngine } from './tiny-engine.ts';
import { TinyEspEngine } from './tiny-esp-engine.ts';

/** One end of a connection or flow: what is written on it goes to `write`. */
export class TestPath implements Path, LayerSink {
  readonly kind: Path['kind'];
  readonly #end: TunnelEnd;
  readonly #write: (bytes: Uint8Array) => void;
  #room: Uint8Array | undefined;
  isOpen = true;
  /** Carries the path's data from the moment that the machine describes it. */
  engine: TinyEngine | TinyEspEngine | undefined;
  sentAt: Millis = 0;
  heardAt: Millis = 0;
  tunnelMtu = 0;
  /** Whether the engine lets a packet of the peer's through. */
  admits: (packet: Packet) => boolean = () => true;

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
    this.#send(engine.seal(engine.framed(packet)));
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
      if (this.#deliverOpened(path, opened)) return;
      input = opened;
    }
    // As Node has them: a Buffer, whose slice() is no copy, and whose memory is soon another's. Machines may open in place, and must not keep it.
    const lent = Buffer.from(input);
    this.turn((machine, sink) => machine.receive(path, lent, this.now, sink));
    lent.fill(0xee);
  }

  send(packet: Uint8Array): void {
    if (this.up?.engine !== undefined && packet.length <= this.up.tunnelMtu) this.up.carry(packet);
    else
      this.turn((machine, sink) => {
        this.#tellCarried(sink);
        machine.send(packetOf(packet), this.now, sink);
      });
  }

  deliver(packet: Uint8Array): void {
    this.delivered.push(packet);
    this.onDelivered(packet);
  }

  /** As the engine does it: data go to the device, past the machine. False: it is not data. */
  #deliverOpened(path: TestPath, opened: Uint8Array): boolean {
    const inner = path.engine?.packetIn(opened);
    if (inner === undefined) return false;
    const packet = packetOf(inner);
    if (path.admits(packet)) this.deliver(new Uint8Array(packetBytes(packet)));
    return true;
  }

  nextTimeout(): Millis | undefined {
    return this.machine.nextTimeout();
  }

  handleTimeout(now: Millis): void {
    this.turn((machine, sink) => {
      this.#tellCarried(sink);
      machine.handleTimeout(now, sink);
    });
  }

  #tellCarried(sink: TunnelSink): void {
    for (const path of this.#paths) {
      const { engine, heardAt, sentAt } = path;
      if (engine !== undefined) this.machine.notice(path, { type: 'carried', heardAt, sentAt }, this.now, sink);
    }
  }

  #event(event: TunnelEvent): void {
    assert.ok(this.isRunning, 'an event outside of a call');
    assert.equal(this.closed, undefined, `${event.type} after the end`);
    this.events.push(event);
    if (event.type === 'move') {
      this.#move(event.from as TestPath, event.to as TestPath, event.datagram);
      return;
    }
    if (event.type !== 'traffic') {
      this.#pending.push(event);
      if (event.type === 'closed') this.closed = event.reason;
      return;
    }
    const path = event.path as TestPath;
    assert.ok(this.#paths.has(path), 'traffic of a path that is gone');
    if (path.kind === 'stream') return; // only noted: the machine can do it as well
    const traffic = event.traffic ?? assert.fail('withdrawn, but never described');
    assert.ok('seal' in traffic, 'a flow carries records');
    if (traffic.record.kind === 'esp') {
      path.engine = new TinyEspEngine(traffic, path.engine as TinyEspEngine | undefined);
    } else {
      assert.equal(path.engine, undefined, 'the traffic of a path is described once');
      path.engine = new TinyEngine(traffic);
    }
    path.tunnelMtu = traffic.tunnelMtu;
    const { innerSources } = traffic;
    if (innerSources !== undefined) {
      const filter = new SourceFilter(innerSources);
      path.admits = (packet) => filter.allows(packet);
    }
  }

  /** What the engine makes of it is known a moment later. */
  #move(from: TestPath, to: TestPath, datagram: Uint8Array | undefined): void {
    const opened = datagram && from.engine?.open(datagram);
    let isMachines = false;
    const hasMoved = datagram === undefined ? from.engine !== undefined : opened !== undefined;
    if (hasMoved) {
      const { engine, tunnelMtu, admits } = from;
      Object.assign(to, { engine, tunnelMtu, admits, heardAt: this.now });
      from.engine = undefined;
      if (opened !== undefined) isMachines = !this.#deliverOpened(to, opened);
    }
    this.#clock.at(this.now, () => {
      if (!to.isOpen) return;
      if (hasMoved) {
        if (isMachines) this.turn((machine, sink) => machine.receive(to, Buffer.from(opened ?? []), this.now, sink));
        this.turn((machine, sink) => machine.notice(to, { type: 'moved' }, this.now, sink));
        return;
      }
      this.remove(to);
      this.turn((machine, sink) => machine.lost(to, new NetworkError('Not the peer.'), this.now, sink));
    });
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
      case 'tunnel-mtu':
        (event.path as TestPath).tunnelMtu = event.mtu;
        break;
      case 'traffic':
      case 'move':
        break; // performed at once
      default:
        event satisfies never;
    }
  }
}
