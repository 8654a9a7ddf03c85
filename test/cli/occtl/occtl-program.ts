/** The command of {@link main}, from its sources: what bin/sallyport-occtl.js runs. */
import { main } from '../../../src/cli/occtl/main.ts';

process.exit(await main());
