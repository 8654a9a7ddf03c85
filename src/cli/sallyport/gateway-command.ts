/** `sallyport gateway`: the gateway with its own configuration file, or with ocserv's. */
import { loadGatewayToml } from '../../gateway/config/gateway-toml.ts';
import { type LoadedConfig, loadOcservConfig } from '../../gateway/config/ocserv-conf.ts';
import { GatewayLogger } from '../../gateway/log/gateway-logger.ts';
import { runGateway } from '../ocserv/run-gateway.ts';
import { testConfig } from '../ocserv/test-config.ts';
import { ownVersion } from '../openconnect/version.ts';
import { EXIT } from './exit-codes.ts';

export interface GatewayArguments {
  readonly config: string;
  readonly checkConfig?: boolean;
  readonly json?: boolean;
}

/** A file that ends in `.conf` is ocserv's, any other is ours. */
function loader(file: string): (file: string) => Promise<LoadedConfig> {
  return file.endsWith('.conf') ? loadOcservConfig : loadGatewayToml;
}

export async function runGatewayCommand({ config, checkConfig = false, json = false }: GatewayArguments): Promise<number> {
  const load = loader(config);
  const { status, text } = await testConfig(config, load);
  process.stderr.write(text);
  if (status !== 0) return EXIT.usage;
  if (checkConfig) {
    process.stderr.write(`${config}: nothing is wrong.\n`);
    return EXIT.ok;
  }
  const output = json
    ? ({ form: 'json', sink: process.stderr } as const)
    : ({ form: 'text', sink: process.stderr, program: 'sallyport' } as const);
  const log = new GatewayLogger({ process: 'main', level: 2, output });
  return runGateway({ load: () => load(config), serverName: `sallyport ${ownVersion()}`, log });
}
