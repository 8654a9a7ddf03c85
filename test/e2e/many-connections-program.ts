/**
 * Many TCP connections at once through one VPN session: `many-connections-program.ts GATEWAY PIN PASSWORD COUNT`. All of them are open before any of them
 * sends; each sends something of its own, which the far end sends back. Says how many did well, and what one costs this process, as JSON.
 */
import { once } from 'node:events';
import { connect, type IpSocket, type Vpn } from 'sallyport';

const [, , gateway = '', pin = '', password = '', countText = ''] = process.argv;
const COUNT = Number(countText);

/** Being made at a time: as many as a server's backlog takes, for one whose processor is busy. */
const AT_ONCE = 200;

/** Bytes of this process: its heap, the buffers beside it, and all that is resident. */
function memory(): { readonly heap: number; readonly resident: number } {
  globalThis.gc?.();
  const { heapUsed, arrayBuffers, rss } = process.memoryUsage();
  return { heap: heapUsed + arrayBuffers, resident: rss };
}

async function openAll(vpn: Vpn): Promise<IpSocket[]> {
  const sockets: IpSocket[] = [];
  const openSome = async () => {
    while (sockets.length < COUNT) {
      const socket = vpn.createConnection({ host: '10.77.0.1', port: 7, allowHalfOpen: true });
      sockets.push(socket);
      await once(socket, 'connect');
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, openSome));
  return sockets;
}

async function isEchoed(socket: IpSocket, text: string): Promise<boolean> {
  socket.end(text);
  let heard = '';
  for await (const chunk of socket) heard += (chunk as Buffer).toString('latin1');
  return heard === text;
}

{
  await using vpn = await connect(`https://${gateway}`, { device: 'userspace', pins: [pin], user: 'alice', password });
  const before = memory();
  const start = performance.now();
  const sockets = await openAll(vpn);
  const opened = performance.now() - start;
  const after = memory();
  const isOpen = sockets.filter(({ destroyed, connecting }) => !destroyed && !connecting).length;
  const echoes = await Promise.all(sockets.map((socket, i) => isEchoed(socket, `connection ${i} ${'.'.repeat(i % 1_000)}`)));
  const each = (key: keyof typeof before) => Math.round((after[key] - before[key]) / COUNT);
  process.stdout.write(
    `${JSON.stringify({
      open: isOpen,
      echoed: echoes.filter((echo) => echo).length,
      heapEach: each('heap'),
      residentEach: each('resident'),
      openedIn: Math.round(opened),
      echoedIn: Math.round(performance.now() - start - opened),
    })}\n`,
  );
}
