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
  /** No interface, whatever the configuration says. */
  readonly userspace?: boolean;
  readonly checkConfig?: boolean;
  readonly json?: boolean;
}

/** A file that ends in `.conf` is ocserv's, any other is ours. */
function loader(file: string, isUserspace: boolean): (file: string) => Promise<LoadedConfig> {
  const load = file.endsWith('.conf') ? loadOcservConfig : loadGatewayToml;
  if (!isUserspace) return load;
  return async (path) => {
    const { config, notices } = await load(path);
    return { config: { ...config, network: { ...config.network, isUserspace } }, notices };
  };
}

export async function runGatewayCommand(given: GatewayArguments): Promise<number> {
  const { config, userspace = false, checkConfig = false, json = false } = given;
  const load = loader(config, userspace);
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
