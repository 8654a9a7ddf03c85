/** Our command from its sources, under the name of the one it stands in for: messages begin with it. */
import { main } from '../../../src/cli/ocpasswd/main.ts';

process.exitCode = await main();
