import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { datagramOfLink, lowerTunnelMtu, minTunnelMtu, mtuRequest, tunnelMtuOfLink } from '../../../src/core/tunnel/mtu.ts';

/** Bytes of a DTLS record beside its payload (spec 8.2). */
const AES_GCM = 37;
const AES_CBC_SHA1 = 65;

describe('MTU request', () => {
  it('asks for what fits the worst suite: 1390 over IPv4 and 1370 over IPv6 on Ethernet', () => {
    assert.deepEqual(mtuRequest({ family: 4, pathMtu: 1500 }), { base: 1500, tunnel: 1390 });
    assert.deepEqual(mtuRequest({ family: 6, pathMtu: 1500 }), { base: 1500, tunnel: 1370 });
  });

  it('takes the base MTU from the user, then from the path, else 1406', () => {
    assert.equal(mtuRequest({ family: 4, baseMtu: 1400, pathMtu: 1500 }).base, 1400);
    assert.equal(mtuRequest({ family: 4, pathMtu: 1492 }).base, 1492);
    assert.equal(mtuRequest({ family: 4 }).base, 1406);
  });

  it('never asks for a base below 1280', () => {
    assert.deepEqual(mtuRequest({ family: 4, baseMtu: 576 }), { base: 1280, tunnel: 1170 });
    assert.equal(mtuRequest({ family: 6, pathMtu: 1000 }).base, 1280);
  });

  it('asks for the tunnel MTU that the user wants', () => {
    assert.deepEqual(mtuRequest({ family: 4, mtu: 1200, pathMtu: 1500 }), { base: 1500, tunnel: 1200 });
  });
});

describe('MTU arithmetic', () => {
  it('agrees with what ocserv announces for a link of 1500', () => {
    assert.equal(tunnelMtuOfLink(1500, 4, AES_GCM), 1434);
    assert.equal(tunnelMtuOfLink(1500, 6, AES_GCM), 1414);
    assert.equal(tunnelMtuOfLink(1500, 4, AES_CBC_SHA1), 1406);
    assert.equal(tunnelMtuOfLink(1500, 4, undefined), 1472);
    assert.equal(tunnelMtuOfLink(1493, 4, AES_GCM), 1427);
  });

  it('subtracts IP and UDP from a link', () => {
    assert.equal(datagramOfLink(1500, 4), 1472);
    assert.equal(datagramOfLink(1500, 6), 1452);
  });

  it('lowers an agreed MTU and never raises it', () => {
    assert.equal(lowerTunnelMtu(1434, 1402, true), 1402);
    assert.equal(lowerTunnelMtu(1390, 1434, true), 1390);
  });

  it('does not use a path that carries less than IP needs', () => {
    assert.equal(minTunnelMtu(false), 576);
    assert.equal(minTunnelMtu(true), 1280);
    assert.equal(lowerTunnelMtu(1434, 1279, true), undefined);
    assert.equal(lowerTunnelMtu(1434, 1279, false), 1279);
    assert.equal(lowerTunnelMtu(1434, 575, false), undefined);
  });
});
