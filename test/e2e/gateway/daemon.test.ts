/** Our gateway as a daemon: who starts it is let go when clients can come, and hears why they cannot. */
import assert from 'node:assert/strict';
import { readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { assertBuilt } from '../../support/drop-in.ts';
import { OUR_GATEWAY } from '../../support/gateway-program.ts';
import { Lab } from '../../support/lab.ts';
import { Ocserv } from '../../support/ocserv.ts';
import { gatewayPids } from '../../support/process-view.ts';
import { missing } from '../../support/requirements.ts';
import { HANG_LIMIT } from '../../support/size.ts';

/** As the lab configures it. */
const PORT = 443;

describe('our gateway as a daemon', { skip: missing('root', 'netns', 'tun', 'ocserv', 'openssl'), timeout: HANG_LIMIT }, () => {
  let lab: Lab;
  let foreground: Ocserv;
  let pidFile: string;
  let arguments_: readonly string[];

  before(async () => {
    assertBuilt();
    lab = await Lab.open();
    foreground = await Ocserv.start(lab, { program: OUR_GATEWAY, debugLevel: 3, settings: { 'pid-file': '/nowhere/pid' } });
    pidFile = path.join(foreground.folder, 'pid');
    arguments_ = [...OUR_GATEWAY.command, '--config', path.join(foreground.folder, 'ocserv.conf'), '--pid-file', pidFile];
  });

  after(() => lab?.close());

  it('has the level of -d in its workers, and their lines under their name', async () => {
    const visit = await lab.server.start('bash', ['-c', 'echo nonsense > "/dev/tcp/$1/$2"', 'bash', foreground.gateway, String(PORT)]);
    await visit.finish();
    await foreground.program.waitFor(/^ocserv\[\d+\]: worker: connection ended reason=/m);
  });

  it('goes on without a pid file where it cannot write one, as ocserv does', async () => {
    await foreground.program.waitFor(
      /^ocserv\[\d+\]: main: error: The pid file \/nowhere\/pid cannot be written: No such file or directory\.$/m,
    );
    assert.ok(foreground.program.isRunning);
  });

  it('says on the terminal of who starts it why clients cannot come, and ends with 1', async () => {
    const [program = '', ...args] = arguments_;
    const second = await lab.server.start(program, args);
    const { code, output } = await second.finish();
    assert.equal(code, 1);
    assert.match(output, /^error: Cannot listen on TCP port 443: Address already in use/m);
  });

  it('takes no clients before it has its control socket, and none if another has it', async () => {
    const config = readFileSync(path.join(foreground.folder, 'ocserv.conf'), 'utf8')
      .replaceAll(/^((?:tcp|udp)-port *=).*$/gm, '$1 4443')
      .replace(/^(socket-file *=) *(.*)$/m, '$1 $2-2')
      .replaceAll(/\b(10\.|fd)77\b/g, (_, family: string) => `${family}78`); // networks of its own
    const own = path.join(foreground.folder, 'second.conf');
    writeFileSync(own, config);
    const [program = ''] = OUR_GATEWAY.command;
    const second = await lab.server.start(program, [...OUR_GATEWAY.command.slice(1), '--foreground', '--config', own]);
    const { code, output } = await second.finish();
    assert.equal(code, 1, output);
    assert.match(output, /: error: Another process listens at /);
    assert.doesNotMatch(output, /: listening /);
  });

  it('lets go of input and outputs in all of its processes, so that a shell that reads them goes on', async () => {
    await foreground.stop();
    const shell = await lab.server.start('sh', ['-c', 'said=$("$@" 2>&1); echo "it is up with $? and said $said."', 'sh', ...arguments_]);
    const { code, output } = await shell.finish();
    assert.equal(code, 0);
    assert.match(output, /^it is up with 0 and said .*\.$/ms);
    const pids = gatewayPids(lab.server);
    try {
      assert.equal(pids.main, Number(readFileSync(pidFile, 'utf8')));
      for (const pid of [pids.main, pids.auth, ...pids.workers]) {
        for (const fd of [0, 1, 2]) assert.equal(readlinkSync(`/proc/${pid}/fd/${fd}`), '/dev/null', `${fd} of ${pid}`);
      }
    } finally {
      process.kill(pids.main, 'SIGTERM');
    }
  });
});
