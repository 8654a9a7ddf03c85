/**
 * Answers the forms of a log-in: a chain of answerers, of which the first that knows a field answers it, and a person for the rest.
 *
 * Read first: form.ts; spec "AnyConnect", section 3.7; spec "Client command line", section 6.
 *
 *   form ──► choices ──► another group than the form's? ── yes ──► change-group
 *                                  │ no
 *                                  ▼
 *              fields that these choices show ──► answerers ──► what is left ──► person ──► codes are made, the form is sent
 */
import { MisuseError } from '../errors.ts';
import type { Logger } from '../log.ts';
import { revealed, type Secret } from '../secret.ts';
import { printable } from '../wire/text.ts';
import {
  type AskedField,
  type AuthField,
  type AuthForm,
  type Choice,
  type ChoiceField,
  canBeLeft,
  type FormAnswer,
  type FormValues,
  isShown,
} from './form.ts';

/** A value (of a choice: its `value`), or what makes it when the form is sent: codes are made then, and what is used up is used up then. */
export type Answer = string | Secret | (() => string | Secret | Promise<string | Secret>);

/** What one source knows of a field; undefined: nothing. Called once for each field of each form. */
export type Answerer = (form: AuthForm, field: AskedField) => Answer | undefined | Promise<Answer | undefined>;

/**
 * Asks a person. The form holds only the fields that are left, in their order; some of them may be shown for a choice of another of them
 * ({@link isShown}). A person who takes another group can say so (`change-group`) without answering the rest.
 */
export type Person = (form: AuthForm) => Promise<FormAnswer>;

export interface FormAnswererOptions {
  /** In the order they are asked. */
  readonly answerers: readonly Answerer[];
  /** Without a person, a field that no answerer knows ends the log-in with a {@link MisuseError}, unless it can be left. */
  readonly person?: Person;
  /** Called with each form before it is answered, for its banner, message and error. */
  readonly show?: (form: AuthForm) => void;
  readonly log: Logger;
}

/** Forms with nothing to fill in, sent one after the other, that end a log-in: the gateway would ask for ever. */
const MAX_EMPTY_FORMS = 2;

/** What a log-in hands to its forms: one for each log-in, as it remembers what was sent. */
export function formAnswerer(options: FormAnswererOptions): (form: AuthForm) => Promise<FormAnswer> {
  let emptyForms = 0;
  return async (form) => {
    options.show?.(form);
    const answering = new FormAnswering(form, options);
    const answer = await answering.answer();
    if (answer.type !== 'submit') return answer;
    emptyForms = answering.hasQuestions ? 0 : emptyForms + 1;
    if (emptyForms < MAX_EMPTY_FORMS) return answer;
    options.log.log('error', 'forms with nothing to fill in', { forms: emptyForms });
    return { type: 'cancel' };
  };
}

/** The way of one form to its answer. */
class FormAnswering {
  readonly #form: AuthForm;
  readonly #options: FormAnswererOptions;
  readonly #answers = new Map<string, Answer>();
  /** What the person is asked. */
  readonly #open: AskedField[] = [];
  #hasQuestions = false;

  constructor(form: AuthForm, options: FormAnswererOptions) {
    this.#form = form;
    this.#options = options;
  }

  /** Whether there was something to fill in, or a choice that only a person could make. */
  get hasQuestions(): boolean {
    return this.#hasQuestions;
  }

  async answer(): Promise<FormAnswer> {
    for (const field of this.#form.fields) if (field.kind === 'choice') await this.#choose(field);
    const group = this.#changedGroup();
    if (group !== undefined) return { type: 'change-group', group };
    for (const field of this.#form.fields) if (field.kind !== 'choice') await this.#fill(field);
    if (this.#open.length > 0) {
      this.#hasQuestions = true;
      const answer = await this.#askPerson();
      if (answer !== undefined) return answer;
    }
    return { type: 'submit', values: await this.#values() };
  }

  async #choose(field: ChoiceField): Promise<void> {
    const [only, ...others] = field.choices;
    if (only === undefined || this.#isHidden(field)) return;
    if (others.length === 0) this.#take(field, only);
    else if (!(await this.#askForChoice(field))) this.#open.push(field);
  }

  async #askForChoice(field: ChoiceField): Promise<boolean> {
    for (const answerer of this.#options.answerers) {
      const answer = await answerer(this.#form, field);
      if (answer === undefined) continue;
      const value = revealed(await resolved(answer));
      const choice = field.choices.find((candidate) => candidate.value === value);
      if (choice !== undefined) {
        this.#take(field, choice);
        return true;
      }
      this.#options.log.log('warn', 'answer is not a choice', { field: printable(field.label) });
    }
    return false;
  }

  #take(field: ChoiceField, choice: Choice): void {
    this.#answers.set(field.name, choice.value);
    this.#options.log.log('info', 'choice answered', { field: printable(field.label), choice: printable(choice.label) });
  }

  async #fill(field: Exclude<AuthField, ChoiceField>): Promise<void> {
    if (field.kind === 'hidden' || this.#isHidden(field)) return;
    this.#hasQuestions = true;
    for (const answerer of this.#options.answerers) {
      const answer = await answerer(this.#form, field);
      if (answer === undefined) continue;
      this.#answers.set(field.name, answer);
      return;
    }
    this.#open.push(field);
  }

  /** What the person says ends here unless it is an answer that can be sent: undefined then. */
  async #askPerson(): Promise<FormAnswer | undefined> {
    const { person } = this.#options;
    if (person === undefined) {
      const needed = this.#open.filter((field) => !canBeLeft(field));
      if (needed.length === 0) return undefined;
      const labels = needed.map((field) => `"${printable(field.label)}"`).join(', ');
      throw new MisuseError(`the gateway asks for ${labels}, and there is nobody to answer`);
    }
    const answer = await person({ ...this.#form, fields: this.#open });
    if (answer.type === 'cancel') return answer;
    if (answer.type === 'change-group') return this.#checkedGroup(answer);
    for (const field of this.#open) {
      const value = Object.hasOwn(answer.values, field.name) ? answer.values[field.name] : undefined;
      if (value !== undefined) this.#answers.set(field.name, field.kind === 'choice' ? checkedChoice(field, revealed(value)) : value);
    }
    for (const field of this.#open) {
      if (!this.#isHidden(field) && !this.#answers.has(field.name) && !canBeLeft(field)) {
        throw new MisuseError(`the answer to form "${printable(this.#form.id)}" lacks the field "${printable(field.name)}"`);
      }
    }
    const group = this.#changedGroup();
    return group === undefined ? undefined : { type: 'change-group', group };
  }

  #checkedGroup(answer: FormAnswer & { readonly type: 'change-group' }): FormAnswer {
    const field = this.#form.fields.find((candidate) => candidate.kind === 'choice' && candidate.isGroup === true);
    if (field?.kind !== 'choice') throw new MisuseError(`form "${printable(this.#form.id)}" has no group to change`);
    checkedChoice(field, answer.group);
    return answer;
  }

  /** The chosen group, if it is another than the one that this form is for: that of its group field's `initial`, or the first. */
  #changedGroup(): string | undefined {
    for (const field of this.#form.fields) {
      if (field.kind !== 'choice' || field.isGroup !== true) continue;
      const taken = this.#taken(field.name);
      if (taken !== undefined && taken !== (field.initial ?? field.choices[0]?.value)) return taken;
    }
    return undefined;
  }

  /** Not asked for the choices that are taken. While the choice itself is the person's to make, nothing is hidden. */
  #isHidden(field: AskedField): boolean {
    const controller = field.shownFor?.field;
    const isUndecided = this.#open.some((open) => open.name === controller) && this.#taken(controller ?? '') === undefined;
    return !isUndecided && !isShown(field, (name) => this.#taken(name));
  }

  #taken(name: string): string | undefined {
    const answer = this.#answers.get(name);
    return typeof answer === 'string' ? answer : undefined;
  }

  /** Every field of the form: hidden ones as they came, unshown ones empty or prefilled (spec "AnyConnect", section 3.7). */
  async #values(): Promise<FormValues> {
    const values: [string, string | Secret][] = [];
    for (const field of this.#form.fields) {
      if (field.kind === 'hidden') values.push([field.name, field.value]);
      else if (this.#isHidden(field)) values.push([field.name, field.initial ?? '']);
      else {
        const answer = this.#answers.get(field.name);
        if (answer !== undefined) values.push([field.name, await resolved(answer)]); // a selector without choices has none
      }
    }
    return Object.fromEntries(values); // and not by assignment: a field may be called __proto__
  }
}

async function resolved(answer: Answer): Promise<string | Secret> {
  return typeof answer === 'function' ? answer() : answer;
}

function checkedChoice(field: ChoiceField, value: string): string {
  if (field.choices.some((choice) => choice.value === value)) return value;
  throw new MisuseError(`"${printable(value)}" is not one of the choices of "${printable(field.label)}"`);
}
