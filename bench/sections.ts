/** Each measurement's heading, and what a reader must know of its table. */
import type { Measurement } from './figures.ts';

export const SECTIONS: Readonly<Record<Measurement, { readonly title: string; readonly how: string }>> = {
  connect: {
    title: 'Connect time',
    how: `From the start of the program to the tunnel up: logged in by password, and the network script has set the device's address and route, which is
all it does. A shell writes the time and then becomes the client, and the script writes the time as its last act: the same two events on the
same clock for both, whatever a client prints and when. With DTLS its handshake must be done too; both clients finish it before they run the
script, and where one does not, its time ends when it says that it has. Neither client goes to the background, so the hand-over of \`-b\` is not
in it. One connection of each client before the first round does not count.

Where Sallyport's time goes, of 133 ms seen with time stamps in the code, over DTLS: Node's own start 25 ms, the engine's thread started and the command
loaded 30, TCP and TLS 20, log-in 13, CONNECT 12, DTLS 19, the network script and the device 14. No part stands out: it is code that runs once, before any
compiler has seen it. The main thread works for 95 to 105 ms of it, the engine's for 52, 35 of which Node needs to start any thread, V8's own for 13.
The processors of this machine slow each other down, so what counts is the sum; and until the cookie is there, what is waited for is the engine's thread.
That is the floor here: of 170 ms of processor time Node alone needs 28 for the process and 35 for the thread, the gateway's and the script's come on top,
and what is taken out of one thread's way is waited for in the other. To be at 80 ms above openconnect some 20 ms of the rest would have to go.

Brought down first by: the tunnel's connection opened during the log-in, the engine's thread before the rest of the command, its warm-up after the tunnel is
up, two files instead of thirteen, and Node's modules for files, processes and TLS, one-time codes, key formats and profiles not before they are needed.
Then, client and client in turns of 11 at real-time priority (medians; openconnect 33 and 31): from 143 to 123 ms over DTLS and from 143 to 121 over TLS,
processor time of all threads from 199 to 165 and from 192 to 161. That is: koffi's compiled part alone, whose JavaScript took 5 to 8 ms of the engine's
start; no node:crypto in the engine's thread (4 ms), and the thread started before our own output is opened; the log-in's connection opened while Node loads
TLS, and the tunnel's while the engine starts; the script's \`pre-init\` during DTLS; a look for leftovers without promises (5 to 10 ms of turns); and
no list of authorities where a fingerprint was given (Mozilla's takes Node 10 ms, so the command's file has a line for the shell that turns it off).

Since then three things start sooner: the log-in's connection 7 ms, as node:crypto loads, and the key that the log-in announces is made, while it opens; the
DTLS handshake 3 ms, in the turn that the configuration came in rather than behind a timer and the start of \`pre-init\`; and the engine's thread, for which a
third less code is loaded. A gateway that is farther away is given that time. Here both processors are busy all the while: in turns of 7 to 15, 132 ms became
134, 134 became 131 and 157 became 144 (medians; openconnect 34), which is within what single rounds differ by.

Tried and not kept, as nothing was gained: larger young generations of V8's heap, fewer of its threads, one for its garbage collection; the engine's thread
with other options of Node's (environment, descriptors, limits); one file for all code, less or more of it in the cache of compiled code; without V8's quick
compilers the main thread works 26 ms longer, as Node throws its own cache of compiled modules away with any option of V8's that changes code (--no-sparkplug,
--no-opt, --max-lazy: TLS then takes 14 ms to load, not 6); the others, and Node's (require, detection of modules, addons, signals), change nothing. The
log-in on a connection of the engine's, which then becomes the tunnel's: one TLS handshake and 9 ms of the main thread's work less, but all of it waits for
the engine's thread, and the tunnel is up 8 ms later. That thread's word that it is ready before its tables are made: nothing. One shell fewer around the
script: 0.8 ms a run, but a command with traps of its own could then be cut off by Ctrl-C. A start-up snapshot of V8's heap with the command in it gains nothing either: reading it costs 11 ms, or 3
without the compiled code of Node's own modules, which then cost far more; node:tls cannot be in it, nor node:crypto where a thread loads it
too (Node ends); and with all of the command compiled in it the sum was what the cache of compiled code gives (274 and 277 ms, on a busy machine).`,
  },
  ping: {
    title: 'Ping time',
    how: `The median round trip of small pings (56 bytes) to the inside address of ocserv, with nothing else in the tunnel. 20 ms apart, processes and
cores are still warm; 200 ms apart, they have gone to sleep in between. A round's figure is the median of its pings.

Over TLS the engine's thread has the connection to itself, as over DTLS. A packet that leaves alone is followed by a look-out of 0.5 ms at most for its
answer, without sleep, as long as answers do come that soon (\`src/node/engine/answer-wait.ts\`), and who waits for the processor has it meanwhile. Such a
packet leaves before the device is asked for another one, and before anybody looks at a clock: by a trace, what ran first took 70 µs each way where
others had filled the caches since the packet before. On a busy machine, in turns, medians: every 20 ms 398 to 340 and 467 to 274 µs, every 200 ms 407 to 291
and 382 to 293 µs, where openconnect took 180 to 205.

By a trace again, a ping costs the client's thread four times what it costs where packets follow each other closely: with 20 ms between them its code and data have left the
caches. So it pays to have little of either: the warm-up (\`src/node/engine/warm-up.ts\`) goes on until V8's thorough compiler has made most of a pass, which takes 10,000 packets
(0.4 s of the processor, a second after the tunnel is up), with what a lone packet meets and no packet of the warm-up met: the look-out in vain, a TUN's header, main's
descriptions, the loop around it, of which any threw compiled code away at a tunnel's first packets. With all programs at real-time priority, in turns, medians (openconnect):
over DTLS every 20 ms 312 to 269 µs (268), every 200 ms 307 to 273 (275), over TLS 346 to 314 (298) and 365 to 321 (301). Without it, where twenty other programs want the
two processors, it is 1.5 times openconnect's still (275 µs with half of those packets, 312 before, 174): each of the client's wake-ups finds less in the caches.

Tried and not kept: TLS records counted as they come, so that no read of OpenSSL's is in vain. Three calls fewer for a lone packet, and no ping was quicker.`,
  },
  memory: {
    title: 'Idle memory',
    how: `Of the client's process, when its tunnel has been up for 5 seconds without a packet. "Resident" counts all its pages in memory (RSS);
"proportional" divides those that it shares with other processes by their number (PSS), and is what one more client costs a machine. It is stated; no limit is set.`,
  },
  throughput: {
    title: 'Throughput and CPU',
    how: `One TCP stream of iperf3 through the tunnel to ocserv, first up (to the gateway), then down. The rate is what the receiver got. CPU is the client's, user
and system time of all its threads, for each GB (10^9 bytes) of payload; the kernel's work on the client's behalf is in it. Both ends, the
gateway and the traffic program share the machine's cores, so a client that needs less of them leaves more to the others. ocserv sends and receives
packet by packet, and its socket's buffer overflows in an upload over DTLS: that bounds what any client can reach.

Of an upload over TLS: the packets of a super-segment become records by one call of OpenSSL, which cuts where a frame is over (\`frame-run.ts\`), 0.92 µs
for 1,400 bytes instead of 1.11; most of the rest is the record itself. The acknowledgements that come back wake the engine's thread and bring the next
piece of data each, so after a burst it rests for a moment when few packets follow, too (\`moderation.ts\`); and its warm-up waits for the end of a
transfer. On a busy machine, in turns, the client's CPU was 6.6 to 8.5 s/GB without them and 5.1 to 5.9 with them. ocserv bounds the rate: two reads, a
look for more and a write for each packet take 7.6 CPU-s/GB with our client, which is 1,050 Mbit/s if it has a core for itself.

Over DTLS ocserv's buffer overflows, so most acknowledgements of an upload have SACK, and each that is written to the device runs all of the host's TCP and
brings a packet or two: in a trace half of the engine's time. Now one is left out where a newer one of the same pass says all of it and more, by SACK as well
(\`src/kernels/acknowledgements.ts\`), and passes that move few packets are followed by a rest of four times their length (\`moderation.ts\`), so that there are
newer ones. In turns, medians of three to five: an upload took 8.0 CPU-s/GB at 512 Mbit/s, 6.8 at 552 with the first, 4.7 to 5.2 at 610 to 640 with both (openconnect 11.5 at 471);
a download 4.2 at 780, then 2.5 at 955. Between both ends of ours, whose packets come in runs, neither changes the figures.`,
  },
  portable: {
    title: 'The portable path',
    how: `The same transfers and the same ocserv, with Sallyport's client as it is where it may only open the TUN by a system call: UDP by node:dgram, TLS by
node:tls, records sealed by node:crypto, everything in the main thread. It is what other systems and machines without offloads get.`,
  },
  proxy: {
    title: 'Without an interface: throughput and CPU',
    how: `Clients that run as an ordinary user and make no interface: \`sallyport proxy -L\` with its own TCP/IP stack, and openconnect's \`--script-tun\` with
ocproxy 1.60 (Debian's), which has lwIP's. One TCP stream of iperf3 goes to a forwarded port of each, through the tunnel, to the same ocserv, first up,
then down. CPU is of all processes of the client.

What ocserv moves packet by packet, on the same cores, bounds both clients: openconnect with the kernel's TCP and an interface ("Throughput and CPU" above)
is not five times as fast as with ocproxy either. So five times ocproxy is asked for where both ends are Sallyport's, and the limits here only keep what
there is. Over DTLS an upload overflows the buffer of ocserv's socket, as every client's does, and the stack sends again what was lost.`,
  },
  'portable-proxy': {
    title: 'Without an interface, the portable path',
    how: `As above, with Sallyport's proxy as it is without koffi, which is all of Sallyport that is not JavaScript: UDP by node:dgram, TLS by node:tls,
records sealed by node:crypto, and the TCP/IP stack beside them in the main thread. It is what machines get that koffi has no build for.`,
  },
  'gateway-memory': {
    title: "Gateway's idle memory",
    how: `Of all processes of a gateway that has just been started, when one client's tunnel has been up for 5 seconds without a packet: main, and whoever it
has started. Sallyport has as many workers as the machine has cores, each of them for many clients, and loads its program into each; ocserv has a
process for each client. So these figures are what a gateway needs before it has clients, not what a client costs. A page that several processes
share is in the sum of "resident" once for each of them, and once in that of "proportional".`,
  },
  'gateway-throughput': {
    title: "Gateway's throughput and CPU",
    how: `As with the clients, but with the same openconnect on both gateways. CPU is user and system time of all processes of the gateway, which are
found by their descent from its main process. A round starts a gateway of its own, so what runs in JavaScript is compiled while it is measured.
The figures change with the machine and its hour: on 2026-11-30 uploads over DTLS made 1.48 and 0.67 on one, and 1.53 to 2.03 and 0.37 to 0.48 on another.`,
  },
  pair: {
    title: 'Both ends: throughput and CPU',
    how: `The same transfers, with Sallyport's client at Sallyport's gateway beside openconnect at ocserv. CPU of each end by itself, of all its processes.
A round starts both ends anew.`,
  },
  'pair-ping': {
    title: 'Both ends: ping time',
    how: `Pings (56 bytes) as above, between Sallyport's own ends and between openconnect and ocserv: with nothing else in the tunnel, and, every 20 ms, while one
TCP stream of iperf3 goes through it as fast as it can. Pings that were lost under the stream are not in the median.

A gateway's host answers a ping while it is written to the device, so after a lone packet the engine asks the device at once, in the same pass. In turns, medians of
four: over DTLS every 20 ms 563 to 509 µs, every 200 ms 660 to 653 (openconnect with ocserv 451 and 542).`,
  },
  'pair-proxy': {
    title: 'Both ends, without an interface: throughput and CPU',
    how: `As with the clients alone, but with Sallyport's gateway behind Sallyport's client, and ocserv behind openconnect with ocproxy. Sallyport's client
has two busy threads, its gateway another, and iperf3's programs are two more: where other work has a part of the two cores, each of them waits for one,
and the ratio falls to half.`,
  },
  fortinet: {
    title: 'Fortinet: throughput and CPU',
    how: `Both clients with \`--protocol=fortinet\` on Sallyport's gateway, as there is no other for this protocol: PPP frames with a header of six bytes, in DTLS that
is agreed on by certificate, or in TLS. The transfers and the client's CPU are those of "Throughput and CPU".

Of an engine's CPU in an upload over DTLS a third is the kernel's, a quarter the cipher itself, a seventh calls by koffi, a quarter JavaScript and the byte
kernels. Neither end is busy all the time, since one that rests holds up the acknowledgements of what it has just given to the host. So a gateway that
took long runs of datagrams, which their sender has gathered already, rests no longer than 50 µs (\`moderation.ts\`). In six turns an upload moved 2.57 to
3.27 Gbit/s before (median 2.79) and 2.96 to 3.29 after (3.15), for the same CPU. A client that rests less costs the gateway a fifth more CPU in a download.`,
  },
  f5: {
    title: 'F5: throughput and CPU',
    how: `The same with \`--protocol=f5\`: PPP frames with a header of four bytes.`,
  },
  gp: {
    title: 'GlobalProtect: throughput and CPU',
    how: `The same with \`--protocol=gp\`: ESP with AES-256-CBC and HMAC-SHA256, and frames with a header of sixteen bytes in TLS.

What ESP cost, by a profile of two engines with these ciphers: a quarter of either thread's time was the hash itself, 5 to 8 % AES, a quarter the
kernel's, and the calls to OpenSSL most of the rest. Both AES-CBC and a hash wait for the block before, so eight packets of a burst go side by side through
OpenSSL's multi-block functions (\`openssl-multi-block.ts\`), encrypted and hashed on one side, hashed on the other. Medians of three turns of two engines,
before and after: processor time for a GB 3.32 to 2.69 s at the sender, 2.98 to 2.45 s at the receiver; with AES-128 and SHA-1 2.99 to 2.20 and 2.75 to
2.12 s. Other processors and executables encrypt side by side by single blocks (\`cbc-lanes.ts\`), and hash by two calls a packet.`,
  },
  nc: {
    title: 'Network Connect: throughput and CPU',
    how: `The same with \`--protocol=nc\`: ESP with AES-128-CBC and HMAC-SHA1, and messages with a header of 22 bytes in TLS.`,
  },
  pulse: {
    title: 'Pulse: throughput and CPU',
    how: `The same with \`--protocol=pulse\`: ESP with AES-256-CBC and HMAC-SHA256, and packets with a header of sixteen bytes in TLS.`,
  },
  array: {
    title: 'Array: throughput and CPU',
    how: `The same with \`--protocol=array\`: bare IP packets, in DTLS 1.0 with AES-256-CBC and HMAC-SHA1, or in TLS.`,
  },
  packets: {
    title: 'Both ends: small packets',
    how: `UDP datagrams of 64 bytes, sent by iperf3 as fast as it can; those count that arrived. iperf3 makes a system call for each, on the same cores, so it is
part of what bounds this. What the host's socket of the iperf3 that receives has no room for was carried for nothing: an engine takes no more than 64 small
datagrams at a time and leaves the processor to who is to read them (\`src/node/engine/datagram-slots.ts\`), which made 43 and 54 thousand a second up 58 and 80
on a busy machine where openconnect with ocserv moved 34 and 35, and 46 and 57 down 51 and 77, beside 35 and 38 of theirs.`,
  },
  sessions: {
    title: 'Gateway with many sessions',
    how: `Sallyport's gateway with many sessions up, of which some carry traffic and the others are idle, beside the same gateway with that one session and no
others. The load generator (\`bench/load/\`: the client's own machines, many in a process) keeps a window of packets of 1,300 bytes on their way to an
echo behind the gateway for each session that carries traffic; what came back counts, both ways. The load generator and the echo share the cores,
so only the gateway's CPU time for a GB is judged; the rates are stated.

What several sessions have to send fills passes that one session with a window leaves small: the gateway sleeps less often for each packet. On a busy machine with 1,000
sessions, all programs at real-time priority, the smallest of three: over DTLS 9.2 CPU-s/GB for one session by itself, and 9.3, 4.6 and 4.9 with 1, 10 and 100 active;
over TLS 7.3, and 7.3, 4.7 and 5.2. ocserv, with 300 sessions: 8.6, and 8.1, 6.1 and 5.1; 7.5, and 7.6, 6.8 and 5.1. Where other programs have the processors the time for one and
the same case varies by half, and with it the ratio.

Passes that move few packets are followed by the longest rest (\`src/node/engine/moderation.ts\`). On a machine on which a wake-up is dear, one session by itself went from 11.3 and
10.6 CPU-s/GB over DTLS and TLS to 9.2 and 7.5, 10 of 1,000 from 17.2 and 15.8 to 13.2 and 10.0, 100 from 17.0 and 17.8 to 11.6 and 14.5. Over TLS with many active each packet
costs calls of its connection's own, to receive, decrypt, encrypt and send it, which no rest that a packet may wait for saves.`,
  },
};
