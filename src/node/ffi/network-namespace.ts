/**
 * Another network namespace for the time of a call: sockets that are made there stay there.
 *
 * Read first: setns(2), ip-netns(8). The namespace is this thread's, so nothing else may run in between: the call is synchronous.
 */
import { SallyportError } from '../../core/errors.ts';
import { networkNamespaceFile, noNetworkNamespace } from '../network-namespace-file.ts';
import { ERRNO, systemError } from './errno.ts';
import { LINUX, libc } from './libc.ts';

const PURPOSE = 'A network namespace';

/** Throws {@link SallyportError} for a namespace that is not there, and whatever `make` throws. */
export function inNetworkNamespace<T>(name: string, make: () => T): T {
  const c = libc(PURPOSE);
  const open = (path: string, missing: string) => {
    const fd = c.open(path, LINUX.O_RDONLY | LINUX.O_CLOEXEC);
    if (fd >= 0) return fd;
    const errno = c.errno();
    throw errno === ERRNO.ENOENT ? new SallyportError('ENOENT', missing) : systemError(`opening ${path}`, errno);
  };
  if (name === '' || name.includes('/') || name === '.' || name === '..') {
    throw new SallyportError('ERR_NETNS', `"${name}" cannot be the name of a network namespace.`);
  }
  const home = open('/proc/thread-self/ns/net', 'There is no /proc to find this network namespace in.');
  try {
    const there = open(networkNamespaceFile(name), noNetworkNamespace(name));
    try {
      if (c.setns(there, LINUX.CLONE_NEWNET) < 0) throw systemError(`entering the network namespace ${name}`, c.errno());
    } finally {
      c.close(there);
    }
    try {
      return make();
    } finally {
      // Staying would put every later socket of this process there.
      if (c.setns(home, LINUX.CLONE_NEWNET) < 0) process.abort();
    }
  } finally {
    c.close(home);
  }
}
