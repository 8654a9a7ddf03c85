/** The channels of {@link Rpc}: from a parent to its child process, and from the child to its parent. */
import type { ChildProcess, SendHandle } from 'node:child_process';
import type { Channel } from './rpc.ts';

/** To a child that was started with an IPC channel and `serialization: 'advanced'`. */
export function childChannel(child: ChildProcess): Channel {
  return channelOf(child);
}

/** To the parent; undefined where nobody started this process that way. */
export function parentChannel(): Channel | undefined {
  return process.send === undefined ? undefined : channelOf(process);
}

type Sender = Pick<ChildProcess, 'send' | 'connected' | 'on'> | typeof process;

function channelOf(end: Sender): Channel {
  const process = end as ChildProcess; // the two have the same methods
  return {
    send: (message, handle: SendHandle | undefined, sent) => {
      if (!process.connected) {
        sent();
        return false;
      }
      return process.send(message as object, handle, {}, sent); // it fails when the other side is gone: the close says so
    },
    onMessage: (listener) => {
      process.on('message', listener);
    },
    onClose: (listener) => {
      process.on('disconnect', listener);
    },
  };
}
