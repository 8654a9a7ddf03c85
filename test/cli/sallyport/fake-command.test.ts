import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { EXIT } from '../../../src/cli/sallyport/exit-codes.ts';
import { parseFakeUser, runFake } from '../../../src/cli/sallyport/fake-command.ts';
import { MisuseError } from '../../../src/core/errors.ts';

describe('a user of the fake gateway', () => {
  it('has a password, and may have codes and questions', () => {
    assert.deepEqual(parseFakeUser('alice:secret'), { name: 'alice', password: 'secret', questions: [] });
    assert.deepEqual(parseFakeUser('bob::123456:Which colour?=blue'), {
      name: 'bob',
      password: '',
      questions: [
        { prompt: 'Please enter your code.', answer: '123456' },
        { prompt: 'Which colour?', answer: 'blue', kind: 'text' },
      ],
    });
    for (const bad of ['', 'alice', ':secret']) assert.throws(() => parseFakeUser(bad), MisuseError);
  });

  it('is explained where it cannot be understood, and nothing starts', async (t) => {
    const written = t.mock.method(process.stderr, 'write', () => true);
    assert.equal(await runFake('anyconnect', { user: ['alice'] }), EXIT.usage);
    assert.match(String(written.mock.calls[0]?.arguments[0]), /^A user is written NAME:PASSWORD.*\n$/);
    assert.equal(await runFake('pulse', { clientCa: '/nonexistent' }), EXIT.localSetup);
    const said = () => String(written.mock.calls.at(-1)?.arguments[0]);
    assert.match(said(), /does not run: The file of --client-ca, \/nonexistent, cannot be read: No such file or directory\.\n$/);
    assert.equal(await runFake('pulse', { clientCa: import.meta.filename }), EXIT.localSetup);
    assert.ok(
      said().includes(`--client-ca, ${import.meta.filename}, has no certificate in PEM. Give the certificate of the authority`),
      said(),
    );
  });
});
