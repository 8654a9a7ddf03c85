/** Forms of log-in pages, as gateways write them, and as nobody should. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { PeerMisbehavedError } from '../../../src/core/errors.ts';
import { parseHtmlPage } from '../../../src/core/markup/html-form.ts';
import { toleratingOwnErrors } from '../../support/own-errors.ts';
import { sized } from '../../support/size.ts';

const PIECES = [
  '<form name="a">',
  '</form>',
  '<input name=x>',
  '<table id=t>',
  '</table>',
  '<td id=c>',
  '<a href=h>',
  '<b>',
  '</b>',
  '</a>',
  'text',
];
const MORE = [
  '<select name=s>',
  '<option value=1>',
  '</select>',
  '<textarea name=n>',
  '<script>',
  '</script>',
  '<![CDATA[',
  '<!--',
  '-->',
  '&#60;',
  '<',
];

describe('a page of HTML', () => {
  it('has the first form, with its inputs in their order, whether or not anything is closed', () => {
    const { form } = parseHtmlPage(`<html><body><p>Hello<br>
      <FORM NAME="first" id=i action="/go?a=1&amp;b=2" Method=POST><table><tr><td><input TYPE=Text name="one"><td><input name=two value="&quot;x&quot;" checked>
      <select name=s><option value=1>A<option selected>B </select></form>
      <form name="second"><input name="three"></form>`);
    assert.deepEqual([form?.name, form?.id, form?.action, form?.method], ['first', 'i', '/go?a=1&b=2', 'post']);
    assert.deepEqual(
      form?.inputs.map(({ type, name, value, isChecked }) => [type, name, value, isChecked]),
      [
        ['text', 'one', '', false],
        ['', 'two', '"x"', true],
      ],
    );
    assert.deepEqual(form.selects, [
      {
        name: 's',
        options: [
          { value: '1', text: 'A', isSelected: false },
          { value: 'B', text: 'B', isSelected: true },
        ],
      },
    ]);
  });

  it('has no form that a script writes, nor what it calls one', () => {
    const { form } = parseHtmlPage(
      '<script>if (a<b) document.write("<form name=x>")</script ><style><form name=y></style><form name=z></form><script>',
    );
    assert.equal(form?.name, 'z');
  });

  it('has links in the cells of tables, texts of areas, and what stands in bold', () => {
    const page =
      parseHtmlPage(`<form name=f><textarea name=n> Read this </textarea><table id=t><tr><td id=c>one <a href=h>two</a></td></tr></table>
      <a href=elsewhere>x</a></form><b>old</b><b>new</b>`);
    assert.deepEqual(page.links, [{ table: 't', href: 'h', text: 'two' }]);
    assert.deepEqual([page.texts.get('n'), page.cells.get('c'), page.bold], ['Read this', 'one two', 'new']);
  });

  it('is refused where it is too long, too deep, or has too much', () => {
    const tooMuch = [
      ' '.repeat(65_537),
      '<a>'.repeat(1001),
      `<form>${'<input name=x>'.repeat(65)}`,
      `<form><input name=${'x'.repeat(8193)}>`,
      `<form><select>${'<option>'.repeat(257)}`,
      `<form>${'<select></select>'.repeat(65)}`,
      `<table id=t>${'<a href=x></a>'.repeat(257)}`,
    ];
    for (const html of tooMuch) assert.throws(() => parseHtmlPage(html), PeerMisbehavedError, html.slice(0, 20));
  });

  it('throws nothing but its own errors, whatever it is', () => {
    const pages = fc.array(fc.oneof(fc.constantFrom(...PIECES, ...MORE), fc.string({ maxLength: 10 })), { maxLength: 60 });
    fc.assert(
      fc.property(pages, (pieces) => toleratingOwnErrors(() => parseHtmlPage(pieces.join('')))),
      { numRuns: sized(300, 20_000) },
    );
  });
});
