// A gateway in a program of one's own: `node gateway.mjs FILE`, as root on Linux. FILE is a gateway.toml or an ocserv.conf.
import { Gateway, loadGatewayToml, loadOcservConfig } from 'sallyport/gateway';

const [file = 'gateway.toml'] = process.argv.slice(2);
const gateway = await Gateway.start({
  load: () => (file.endsWith('.conf') ? loadOcservConfig(file) : loadGatewayToml(file)),
  serverName: 'sallyport',
  log: { log: (level, event, fields = {}) => console.log(JSON.stringify({ level, event, ...fields })) },
});
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => void gateway.stop());
await gateway.stopped;
console.log('stopped');
process.exit(0);
