import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { matchChoice } from '../../../src/core/auth/choices.ts';
import { choices } from '../../support/forms.ts';

const GROUPS = choices(['DEFAULT', 'Staff people', 'Staff', 'admins', 'Studenten']);
const found = (text: string, among = GROUPS) => {
  const match = matchChoice(among, text);
  return match.type === 'found' ? match.choice.label : match.type;
};

describe('matching a choice', () => {
  it('compares labels without case', () => {
    assert.equal(found('ADMINS'), 'admins');
    assert.equal(found('default'), 'DEFAULT');
  });

  it('prefers the whole label to the beginning of another', () => {
    assert.equal(found('staff'), 'Staff');
  });

  it('takes the beginning of exactly one', () => {
    assert.equal(found('staff p'), 'Staff people');
    assert.equal(found('stu'), 'Studenten');
  });

  it('says when several begin so, and when none does', () => {
    assert.equal(found('st'), 'several');
    assert.equal(found('x'), 'none');
    assert.equal(found(''), 'several');
    assert.equal(found('x', []), 'none');
  });

  it('tells labels apart that differ in their case only', () => {
    const alike = [
      { label: 'VPN', value: '1' },
      { label: 'vpn', value: '2' },
    ];
    assert.equal(found('vpn', alike), 'vpn');
    assert.equal(found('Vpn', alike), 'several');
  });

  it('compares labels, not values', () => {
    assert.equal(found('secret', [{ label: 'Staff', value: 'secret' }]), 'none');
  });
});
