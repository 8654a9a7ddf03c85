/**
 * Serves a {@link ControlTarget} on the socket that `occtl` connects to: one JSON line asks, one answers (`node/control-socket.ts`).
 *
 *   {"v":1,"id":1,"request":{"verb":"disconnect-user","name":"alice"}}   ──►
 *                                                                        ◄──  {"v":1,"id":1,"reply":{"value":1}}
 *
 * Watching is asking for what comes after an event's number; the answer may take a while ({@link EVENT_WAIT}).
 */
import { dirname } from 'node:path';
import { z } from 'zod';
import { MisuseError } from '../../core/errors.ts';
import { parseIp } from '../../core/wire/ip-address.ts';
import { ControlServer } from '../../node/control-socket.ts';
import { makeFolder } from '../../node/make-folder.ts';
import { type ControlRequest, EVENT_WAIT, MAX_NAME_LENGTH } from './control-request.ts';
import type { ControlTarget } from './control-target.ts';

/** Observed: ocserv's socket is its owner's, and this is its mode. To connect means to write, so it is the owner's alone. */
const SOCKET_MODE = 0o711;

const REQUEST: z.ZodType<ControlRequest> = z.discriminatedUnion('verb', [
  z.object({ verb: z.literal(['status', 'users', 'sessions', 'bans', 'reload', 'stop']) }),
  z.object({ verb: z.literal('events'), after: z.int().nonnegative().optional() }),
  z.object({ verb: z.literal('disconnect-user'), name: z.string().max(MAX_NAME_LENGTH) }),
  z.object({ verb: z.literal('disconnect-id'), id: z.int().nonnegative() }),
  z.object({ verb: z.literal('unban'), address: z.string().refine((text) => parseIp(text) !== undefined) }),
  z.object({ verb: z.literal('maintain'), isOn: z.boolean() }),
]);

export class GatewayControlServer {
  readonly #server: ControlServer;
  readonly #closing: AbortController;

  /** `file`: `occtl-socket-file`. Rejects with {@link SallyportError} if another gateway listens there. */
  static async listen(target: ControlTarget, file: string): Promise<GatewayControlServer> {
    const closing = new AbortController();
    makeFolder(dirname(file));
    const server = await ControlServer.listenAt(file, SOCKET_MODE, async (request) => {
      const parsed = REQUEST.safeParse(request);
      if (!parsed.success) throw new MisuseError('This gateway does not know that request. Are occtl and gateway of the same version?');
      return { value: await answer(target, parsed.data, closing.signal) };
    });
    return new GatewayControlServer(server, closing);
  }

  private constructor(server: ControlServer, closing: AbortController) {
    this.#server = server;
    this.#closing = closing;
  }

  /** Answers what was asked, and removes the socket. Safe to call twice. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.#server.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

async function answer(target: ControlTarget, request: ControlRequest, closing: AbortSignal): Promise<unknown> {
  switch (request.verb) {
    case 'status':
      return await target.status();
    case 'users':
      return await target.users();
    case 'sessions':
      return await target.sessions();
    case 'bans':
      return await target.bans();
    case 'events':
      return await target.events(request.after, AbortSignal.any([closing, AbortSignal.timeout(EVENT_WAIT)]));
    case 'disconnect-user':
      return await target.disconnectUser(request.name);
    case 'disconnect-id':
      return await target.disconnectId(request.id);
    case 'unban':
      return await target.unban(request.address);
    case 'reload':
      await target.reload();
      return null;
    case 'stop':
      await target.stop();
      return null;
    case 'maintain':
      await target.maintain(request.isOn);
      return null;
  }
}
