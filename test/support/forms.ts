/** Short ways to write forms, and a log-in's log that can be read. */
import type { AuthField, AuthForm, Choice, ChoiceField } from '../../src/core/auth/form.ts';
import type { LogFields, Logger } from '../../src/core/log.ts';

export const text = (name: string, more: object = {}): AuthField => ({ kind: 'text', name, label: `${name}:`, ...more });
export const password = (name = 'password', more: object = {}): AuthField => ({ kind: 'password', name, label: 'Password:', ...more });
export const otp = (name = 'otp'): AuthField => ({ kind: 'otp', name, label: 'Code:' });
export const hidden = (name: string, value: string): AuthField => ({ kind: 'hidden', name, label: '', value });

/** A group selector; labels with their values in lower case. */
export function groups(labels: readonly string[], more: object = {}): ChoiceField {
  return { kind: 'choice', name: 'group_list', label: 'GROUP:', isGroup: true, choices: choices(labels), ...more };
}

export function choices(labels: readonly string[]): Choice[] {
  return labels.map((label) => ({ label, value: label.toLowerCase().replaceAll(' ', '-') }));
}

export function form(fields: readonly AuthField[], more: Partial<AuthForm> = {}): AuthForm {
  return { id: 'main', fields, ...more };
}

/** Keeps what is logged, as `level event key=value …`. */
export class RecordedLog implements Logger {
  readonly lines: string[] = [];

  log(level: string, event: string, fields: LogFields = {}): void {
    this.lines.push([`${level} ${event}`, ...Object.entries(fields).map(([key, value]) => `${key}=${value}`)].join(' '));
  }
}
