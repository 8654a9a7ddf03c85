import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { systemErrorCode, systemErrorText } from '../../src/node/system-error.ts';

describe('errors of the system', () => {
  const error = (code: string) => Object.assign(new Error('message'), { code });

  it('are told as the C library tells them', () => {
    assert.equal(systemErrorText(error('ECONNREFUSED')), 'Connection refused');
    assert.equal(systemErrorText(error('EACCES')), 'Permission denied');
    assert.equal(systemErrorText(error('EPERM')), 'Operation not permitted');
    assert.equal(systemErrorText(error('ENOENT')), 'No such file or directory');
  });

  it('are their message where they are none of the system', () => {
    assert.equal(systemErrorText(error('ERR_OTHER')), 'message');
    assert.equal(systemErrorText('text'), 'text');
    assert.equal(systemErrorCode(new Error('x')), undefined);
  });
});
