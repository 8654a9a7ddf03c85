// The same as CommonJS.
import assert = require('node:assert/strict');
import sallyport = require('sallyport');
import core = require('sallyport/core');
import gateway = require('sallyport/gateway');

const options: sallyport.ConnectOptions = { device: 'userspace', pins: ['sha1:00'] };

async function main(): Promise<void> {
  await assert.rejects(sallyport.connect('https://vpn.example.com', options), sallyport.MisuseError);
  assert.equal(core.SallyportError, sallyport.SallyportError);
  assert.equal(typeof gateway.Gateway.start, 'function');
  console.log('commonjs');
}

void main();
