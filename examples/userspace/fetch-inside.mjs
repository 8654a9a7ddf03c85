// Fetches a page from inside a VPN, without root: `node fetch-inside.mjs GATEWAY USER URL [PIN]`. The password is the first line of standard input.
import { createInterface } from 'node:readline/promises';
import { connect } from 'sallyport';

const [gateway, user, url, pin] = process.argv.slice(2);
const input = createInterface({ input: process.stdin });
const password = (await input[Symbol.asyncIterator]().next()).value;
input.close();

const vpn = await connect(gateway, { device: 'userspace', user, password, ...(pin && { pins: [pin] }) });
try {
  const response = await vpn.fetch(url);
  console.log(response.status, await response.text());
} finally {
  await vpn.close(); // since Node 24: await using vpn = await connect(…)
}
