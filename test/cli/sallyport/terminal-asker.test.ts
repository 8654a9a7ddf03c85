import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Option, Questions } from '../../../src/cli/sallyport/questions.ts';
import { TerminalAsker } from '../../../src/cli/sallyport/terminal-asker.ts';
import type { AuthForm, FormAnswer } from '../../../src/core/auth/form.ts';
import { form, groups, password } from '../../support/forms.ts';

/** What somebody sees who is asked for a secret: what is said, and the question. */
async function seenOf(message: string, label: string): Promise<readonly string[]> {
  const asked: string[] = [];
  const questions: Questions = {
    text: async () => '',
    choose: async () => '',
    secret: async (question) => {
      asked.push(question);
      return '';
    },
  };
  const person = new TerminalAsker({ questions, say: (text) => void asked.push(text), aside: (work) => work() });
  await person.answer(form([password('code', { label })], { message }));
  return asked;
}

/** A person who takes the option with this label, or else what is offered. */
function asker(label: string | undefined) {
  const offered: string[] = [];
  const questions: Questions = {
    text: async (_, initial) => initial,
    secret: async () => '',
    choose: async (_, options: readonly Option[], initial) => {
      offered.push(...options.map((option) => option.label));
      return options.find((option) => option.label === label)?.value ?? initial ?? '';
    },
  };
  return { asker: new TerminalAsker({ questions, say: () => undefined, aside: (work) => work() }), offered };
}

const GATEWAYS = form([groups(['Oslo', 'Bergen'], { canBeLeft: true })]);

async function answerOf(person: TerminalAsker, asked: AuthForm = GATEWAYS): Promise<FormAnswer> {
  const answer = await person.answer(asked);
  return answer.type === 'submit' ? { ...answer, values: { ...answer.values } } : answer;
}

describe('a person at the terminal', () => {
  it('may leave a choice that can be left, which is what is offered', async () => {
    const { asker: person, offered } = asker(undefined);
    assert.deepEqual(await answerOf(person), { type: 'submit', values: {} });
    assert.deepEqual(offered, ['The best that answers', 'Oslo', 'Bergen']);
  });

  it('may make it', async () => {
    assert.deepEqual(await answerOf(asker('Oslo').asker), { type: 'submit', values: { group_list: 'oslo' } });
    assert.deepEqual(await answerOf(asker('Bergen').asker), { type: 'change-group', group: 'bergen' });
  });

  it('is not offered that for a choice that must be made', async () => {
    const { asker: person, offered } = asker(undefined);
    assert.deepEqual(await answerOf(person, form([groups(['Oslo', 'Bergen'])])), { type: 'submit', values: { group_list: 'oslo' } });
    assert.deepEqual(offered, ['Oslo', 'Bergen']);
  });

  it('is asked one question with what is said of it, unless that only announces it and stands above', async () => {
    assert.deepEqual(await seenOf('Look at your token.', 'Code:'), ['Code (Look at your token.)']);
    assert.deepEqual(await seenOf('Enter your code', 'code:'), ['Enter your code']);
    assert.deepEqual(await seenOf('Enter secondary credentials:', 'Which colour?:'), ['Enter secondary credentials:', 'Which colour?']);
    assert.deepEqual(await seenOf('Enter the code that was sent to …12:', 'Password:'), [
      'Enter the code that was sent to …12:',
      'Password',
    ]);
  });
});
