import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { MisuseError, PeerMisbehavedError } from '../../../src/core/errors.ts';
import {
  attribute,
  child,
  childrenNamed,
  elementsOf,
  parseXml,
  renderXml,
  renderXmlDocument,
  textOf,
  type XmlElement,
  type XmlNode,
  xmlElement,
} from '../../../src/core/markup/xml.ts';
import { isNcName, isQualifiedName, isXmlText } from '../../../src/core/markup/xml-names.ts';
import { utf8 } from '../../../src/core/wire/text.ts';
import { sized } from '../../support/size.ts';

/** The children of a root that has this inside. */
const inside = (content: string) => parseXml(`<r>${content}</r>`).children;
const refuses = (document: string, message: RegExp, limits = {}) =>
  assert.throws(
    () => parseXml(document, limits),
    (error: unknown) => error instanceof PeerMisbehavedError && message.test(error.message),
  );

describe('an XML document', () => {
  it('becomes a tree of elements, attributes and texts', () => {
    const root = parseXml(
      utf8('<?xml version="1.0" encoding="UTF-8"?>\n<config-auth client="vpn" type=\'x\'><a/>text<b c="ü">&#252;</b></config-auth>\n'),
    );
    assert.deepEqual(
      root,
      xmlElement('config-auth', { client: 'vpn', type: 'x' }, [xmlElement('a'), 'text', xmlElement('b', { c: 'ü' }, ['ü'])]),
    );
  });

  it('is asked for children, attributes and text by name', () => {
    const root = parseXml('<auth id="main">\n<input name="a"/><message>Enter <b>your</b> name</message><input name="b"/></auth>');
    assert.deepEqual(
      elementsOf(root).map(({ name }) => name),
      ['input', 'message', 'input'],
    );
    assert.deepEqual(
      childrenNamed(root, 'input').map((input) => attribute(input, 'name')),
      ['a', 'b'],
    );
    assert.equal(child(root, 'input')?.attributes.get('name'), 'a');
    assert.equal(child(root, 'none'), undefined);
    assert.equal(attribute(root, 'none'), undefined);
    const message = child(root, 'message');
    assert.equal(message && textOf(message), 'Enter your name');
  });

  it('may have CDATA, comments, instructions, a byte order mark and any line ends', () => {
    assert.deepEqual(inside('a<![CDATA[<&]]><!-- no -->b<?php no ?>c'), ['a<&bc']);
    assert.deepEqual(parseXml('\ufeff \r\n<r a="1\r\n2">x\r\ny\rz&#13;</r>\n\n'), xmlElement('r', { a: '1\n2' }, ['x\ny\nz\r']));
  });

  it('decodes the five entities of XML and numbers, and leaves all else as text', () => {
    assert.deepEqual(inside('&lt;&gt;&amp;&quot;&apos;&#65;&#x20AC;&#128512;'), [`<>&"'A€😀`]);
    assert.deepEqual(inside('&nbsp; &unknown; &amp &#65 &#; & x'), ['&nbsp; &unknown; &amp &#65 &#; & x']);
    assert.equal(attribute(parseXml('<r a="&lt;&#10;&nbsp;&"/>'), 'a'), '<\n&nbsp;&');
  });

  it('has U+FFFD for what is no character of XML, raw or by number', () => {
    assert.deepEqual(inside('a\u0000b\u001bc&#0;d&#1;e&#xD800;f&#x110000;g&#xFFFF;'), [
      'a\ufffdb\ufffdc\ufffdd\ufffde\ufffdf\ufffdg\ufffd',
    ]);
    assert.deepEqual(parseXml(Uint8Array.of(0x3c, 0x72, 0x3e, 0xff, 0x3c, 0x2f, 0x72, 0x3e)).children, ['\ufffd']);
  });
});

describe('what gateways get wrong', () => {
  it('is forgiven in a banner without escapes', () => {
    const banner = (text: string) => {
      const root = parseXml(`<auth><banner>${text}</banner><form/></auth>`);
      assert.deepEqual(
        elementsOf(root)
          .map(({ name }) => name)
          .includes('banner'),
        true,
      );
      return textOf(child(root, 'banner') ?? root);
    };
    assert.equal(banner('Welcome & <hello>'), 'Welcome & ');
    assert.equal(banner('1 < 2 > 0 && <3 x>'), '1 < 2 > 0 && <3 x>');
    assert.equal(
      banner('<<< WARNING >>> write to <root@vpn.example> or <http://vpn.example/>'),
      '<<< WARNING >>> write to <root@vpn.example> or <http://vpn.example/>',
    );
    assert.equal(banner('if a <b & c> then'), 'if a <b & c> then');
    assert.match(banner('a tag that eats <the end'), /^a tag that eats /);
  });

  it('is forgiven where end tags are missing or stray', () => {
    assert.deepEqual(inside('<a><b>x</a></c>y'), [xmlElement('a', {}, [xmlElement('b', {}, ['x'])]), 'y']);
  });

  it('is forgiven in attributes: no quotes, no value, the same name twice', () => {
    assert.deepEqual(inside('<input name=user disabled name="other"/>'), [xmlElement('input', { name: 'user', disabled: '' })]);
  });

  it('is not forgiven where the document is cut short', () => {
    for (const document of ['<a>', '<a><b/>', '<a', '<a b="', '<a>x</a', '<a><![CDATA[x</a>', '<a><!-- </a>'])
      refuses(document, /ends inside|has no element/);
  });

  it('is not forgiven where it is no document', () => {
    refuses('', /no element/);
    refuses('START_TUNNEL', /outside its root/);
    refuses('<!-- only a comment -->', /no element/);
    refuses('<a/><b/>', /more than one root/);
    refuses('<a/>tail', /outside its root/);
    refuses('head<a/>', /outside its root/);
    refuses('<3>', /outside its root/);
  });
});

describe('a hostile XML document', () => {
  it('has no entities of its own: a billion laughs stay unlaughed', () => {
    const laughs = Array.from({ length: 9 }, (_, i) => `<!ENTITY lol${i + 1} "${`&lol${i};`.repeat(10)}">`).join('');
    refuses(`<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY lol0 "lol">${laughs}]><lolz>&lol9;</lolz>`, /has a DTD/);
    assert.deepEqual(parseXml('<!ENTITY lol "lol"><r>&lol;</r>').children, ['&lol;']);
  });

  it('reaches no file and no host', () => {
    refuses('<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]><r>&x;</r>', /has a DTD/);
    assert.deepEqual(parseXml('<!DOCTYPE r SYSTEM "http://attacker.example/r.dtd"><r>&x;</r>').children, ['&x;']);
    assert.deepEqual(parseXml('<r xmlns:xi="http://www.w3.org/2001/XInclude"><xi:include href="/etc/passwd"/></r>').children.length, 1);
  });

  it('is bounded in length, depth, elements and attributes', () => {
    const limits = { length: 300, depth: 3, elements: 5, attributes: 2, attributeLength: 10 };
    parseXml(`<r>${'x'.repeat(293)}</r>`, limits);
    refuses(`<r>${'x'.repeat(294)}</r>`, /more than 300 characters/, limits);
    parseXml('<a><b><c/></b></a>', limits);
    refuses('<a><b><c><d/></c></b></a>', /more than 3 elements inside each other/, limits);
    parseXml('<r><a/><b/><c/><d/></r>', limits);
    refuses('<r><a/><b/><c/><d/><e/></r>', /more than 5 elements/, limits);
    refuses('<r><1/><2/><3/><4/><5/></r>', /more than 5 elements/, limits);
    parseXml('<r a="" b=""/>', limits);
    refuses('<r a="" b="" c=""/>', /more than 2 attributes/, limits);
    refuses('<r a="" a="" a=""/>', /more than 2 attributes/, limits);
    parseXml(`<r a="${'x'.repeat(10)}"/>`, limits);
    refuses(`<r a="${'x'.repeat(11)}"/>`, /more than 10 characters in an attribute/, limits);
  });

  it('meets the default limits before it costs much', () => {
    refuses('<a>'.repeat(1_000_000), /inside each other/);
    refuses(`<r>${'<a/>'.repeat(1_000_000)}</r>`, /more than 50000 elements/);
    refuses(`<r ${'a '.repeat(1_000_000)}/>`, /attributes/);
    refuses(`<r a="${'x'.repeat(1_000_000)}"/>`, /in an attribute/);
    refuses(`<r>${'<1 '.repeat(1_000_000)}</r>`, /attributes|ends inside/);
    assert.equal(textOf(parseXml(`<r>${'&amp;'.repeat(500_000)}</r>`)).length, 500_000);
    assert.equal(textOf(parseXml(`<r>${'&#1'.repeat(500_000)}</r>`)).length, 1_500_000);
  });

  it('throws nothing but our own errors, and gives a tree that can be written again', () => {
    const part = fc.oneof(
      fc.constantFrom(
        '<r>',
        '</r>',
        '<a b="c">',
        '</a>',
        '<a/>',
        '<',
        '>',
        '</',
        '/>',
        '"',
        "'",
        '=',
        '&',
        ';',
        '&#',
        '&#x',
        '&lt;',
        ' ',
        '\n',
      ),
      fc.constantFrom(
        '<!--',
        '-->',
        '<![CDATA[',
        ']]>',
        '<!DOCTYPE',
        '<?',
        '?>',
        'x:y',
        ':',
        '__proto__',
        'constructor',
        '1',
        '\u0000',
        '\ud800',
      ),
      fc.string({ unit: 'binary', maxLength: 3 }),
    );
    fc.assert(
      fc.property(fc.array(part, { maxLength: 30 }), fc.boolean(), (parts, isWrapped) => {
        const document = isWrapped ? `<root>${parts.join('')}</root>` : parts.join('');
        try {
          const root = parseXml(document);
          assert.deepEqual(parseXml(renderXml(root)), root);
        } catch (error) {
          assert.ok(error instanceof PeerMisbehavedError, String(error));
        }
      }),
      { numRuns: sized(2000, 200_000) },
    );
  });
});

describe('XML that we write', () => {
  it('is one line, with an empty element where nothing is inside', () => {
    const root = xmlElement('config-auth', { client: 'vpn', type: 'init' }, [
      xmlElement('version', { who: 'vpn' }, ['v9.01']),
      xmlElement('client-cert-fail'),
    ]);
    assert.equal(
      renderXmlDocument(root),
      '<?xml version="1.0" encoding="UTF-8"?>\n<config-auth client="vpn" type="init"><version who="vpn">v9.01</version><client-cert-fail/></config-auth>\n',
    );
  });

  it('escapes what would be markup, and white space that a reader would change', () => {
    assert.equal(
      renderXml(xmlElement('p', { a: `<&>"'\t\n\r` }, [`<&>"'\t\n\r]]>`])),
      `<p a="&lt;&amp;&gt;&quot;'&#9;&#10;&#13;">&lt;&amp;&gt;"'\t\n&#13;]]&gt;</p>`,
    );
  });

  it('refuses names and characters that XML does not have', () => {
    for (const name of ['', 'a b', '1a', 'a>', '-a', 'a/', 'a:', ':a', 'a:b:c', 'ä ', '\ud800']) {
      assert.throws(() => renderXml(xmlElement(name)), MisuseError, name);
      assert.throws(() => renderXml(xmlElement('r', { [name]: 'x' })), MisuseError, name);
    }
    for (const text of ['\u0000', '\u001b[31m', '\ud800', '\uffff']) {
      assert.throws(() => renderXml(xmlElement('r', {}, [text])), MisuseError);
      assert.throws(() => renderXml(xmlElement('r', { a: text })), MisuseError);
    }
  });

  it('sends an opaque subtree back as it came: structure, attributes, text and white space', () => {
    const opaque =
      '<opaque is-for="sg">\n<tunnel-group>Default&amp;WEB</tunnel-group><x:aggauth-handle id="1">168179266</x:aggauth-handle>\n  <config-hash>1595829378234</config-hash><empty/></opaque>';
    const received = child(parseXml(`<config-auth>${opaque}</config-auth>`), 'opaque');
    assert.equal(received && renderXml(received), opaque);
  });

  it('is read back as it was, any tree', () => {
    const name = fc.stringMatching(/^[A-Za-z_][A-Za-z0-9_.-]{0,8}$/);
    const text = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 }).filter(isXmlText);
    const attributes = fc.dictionary(name, text, { maxKeys: 3, noNullPrototype: true });
    const { tree } = fc.letrec<{ tree: XmlElement; node: XmlNode }>((tie) => ({
      tree: fc
        .tuple(name, attributes, fc.array(tie('node'), { maxLength: 4 }))
        .map(([given, pairs, children]) => xmlElement(given, pairs, withoutNeighbourTexts(children))),
      node: fc.oneof({ maxDepth: 4 }, text, tie('tree')),
    }));
    fc.assert(
      fc.property(tree, (given) => assert.deepEqual(parseXml(renderXmlDocument(given)), given)),
      { numRuns: sized(300, 20_000) },
    );
  });
});

/** Two texts side by side are one when they are read. */
function withoutNeighbourTexts(nodes: readonly XmlNode[]): XmlNode[] {
  return nodes.filter((node, i) => typeof node !== 'string' || typeof nodes[i - 1] !== 'string');
}

describe('XML names', () => {
  it('are told apart from what only looks like one', () => {
    for (const name of ['password', 'group_list', '_x', 'a-b.c9', 'größe', '用户', 'a\u{10000}']) assert.ok(isNcName(name), name);
    for (const name of ['', '9a', '-a', '.a', 'a b', 'a:b', 'a>', 'a\n', 'a"', '×', '\ud800']) assert.ok(!isNcName(name), name);
    assert.ok(isQualifiedName('xs:schema') && isQualifiedName('schema') && !isQualifiedName('a:b:c') && !isQualifiedName(':a'));
  });
});
