/** Installs the peers that the tests run against: Debian's packages, as root. Elsewhere it says what is missing and goes on. */
import { cannotInstall, installPackages, type Packages } from './debian-packages.ts';

const PEERS: Packages = {
  ocserv: 'the gateway that the client is tested against',
  openconnect: 'the client whose behaviour and figures are compared',
  ocproxy: 'what openconnect has instead of an interface, for the bench',
  'vpnc-scripts': 'the network script that the drop-in runs',
  iproute2: 'network namespaces',
  tcpdump: 'packets as they passed, for checksums and order',
  'iputils-ping': 'ping through tunnels',
  nftables: 'blocked UDP and plain loss',
  iperf3: 'throughput',
  openssl: 'throw-away certificates, and a DTLS peer',
  procps: 'process figures',
  'man-db': 'the manual pages, as man shows them',
  systemd: 'socket activation and its messages, by its small tools',
  haproxy: 'a proxy in front of the gateway, for PROXY headers',
  'nginx-light': 'another, with a web site',
  'libnginx-mod-stream': 'its part that passes TLS on',
  curl: 'an HTTP client for our codec and our log-in schemes',
  freeradius: 'a RADIUS server that the gateway asks',
  git: 'through the proxy, over https',
  'openssh-client': 'the same, with nc as its ProxyCommand',
  'openssh-server': 'what that ssh goes to',
  'netcat-openbsd': 'SOCKS for ssh',
  'bind9-dnsutils': 'dig, for our name server',
  chromium: 'a browser that uses the proxy',
};

function main(): void {
  const obstacle = cannotInstall();
  if (obstacle === undefined) {
    installPackages(PEERS, 'the tests');
    console.log('All peers that the tests use are installed.');
    return;
  }
  console.log(`The tests against real peers need root on Debian, and ${obstacle}. They will be skipped here; all others run.`);
  console.log(`They use: ${Object.keys(PEERS).join(', ')}.`);
}

main();
