/** Reads the proof of a second certificate with foreign code: node-forge for the PKCS#7, node:crypto for the signature. */
import assert from 'node:assert/strict';
import { verify, X509Certificate } from 'node:crypto';
import forge from 'node-forge';
import { fromUtf8 } from '../../src/core/wire/text.ts';

/** What follows the capabilities and any opaque: lines of 64 characters, none of them empty. */
export const SECOND_CERTIFICATE =
  /<auth><client-cert-chain cert-store="1M"><client-cert-sent-via-protocol\/><\/client-cert-chain><client-cert-chain cert-store="1U"><client-cert cert-format="pkcs7">((?:[A-Za-z0-9+/]{64}\n)*[A-Za-z0-9+/=]{1,64})<\/client-cert><client-cert-auth-signature hash-algorithm-chosen="(sha\d+)">((?:[A-Za-z0-9+/]{64}\n)*[A-Za-z0-9+/=]{1,64})<\/client-cert-auth-signature><\/client-cert-chain><\/auth>/;

/** Checks that the document proves a certificate over what was sent, and gives the chain in DER and the hash. */
export function verifySecondCertificate(document: Uint8Array, signedBody: Uint8Array): { readonly chain: Buffer[]; readonly hash: string } {
  const [, bundle = '', hash = '', signature = ''] = SECOND_CERTIFICATE.exec(fromUtf8(document)) ?? [];
  const chain = certificatesIn(Buffer.from(bundle, 'base64'));
  const [leaf] = chain;
  assert.ok(leaf !== undefined, 'the bundle has a certificate');
  assert.ok(verify(hash, signedBody, new X509Certificate(leaf).publicKey, Buffer.from(signature, 'base64')), 'the signature holds');
  return { chain, hash };
}

/** The certificates of a certificates-only PKCS#7. forge itself reads only RSA ones, so the structure is its, the certificates stay DER. */
export function certificatesIn(der: Uint8Array): Buffer[] {
  const contentInfo = forge.asn1.fromDer(forge.util.createBuffer(Buffer.from(der).toString('binary')));
  const [type, content] = valuesOf(contentInfo);
  assert.equal(type && forge.asn1.derToOid(String(type.value)), forge.pki.oids.signedData);
  const [signedData] = content === undefined ? [] : valuesOf(content);
  assert.ok(signedData !== undefined);
  const [version, digests, inner, certificates, signers, ...more] = valuesOf(signedData);
  assert.equal(more.length, 0);
  assert.equal(version?.value, '\u0001');
  assert.deepEqual([digests?.value, signers?.value], [[], []], 'it signs nothing');
  const [innerType] = inner === undefined ? [] : valuesOf(inner);
  // What the inner content would be is irrelevant (RFC 2315 §9.1): data as recommended, or digestedData as GnuTLS writes.
  assert.match(innerType === undefined ? '' : forge.asn1.derToOid(String(innerType.value)), /^1\.2\.840\.113549\.1\.7\.[15]$/);
  assert.equal(certificates?.tagClass, forge.asn1.Class.CONTEXT_SPECIFIC);
  return (certificates === undefined ? [] : valuesOf(certificates)).map((certificate) =>
    Buffer.from(forge.asn1.toDer(certificate).getBytes(), 'binary'),
  );
}

function valuesOf(value: forge.asn1.Asn1): forge.asn1.Asn1[] {
  assert.ok(Array.isArray(value.value));
  return value.value;
}
