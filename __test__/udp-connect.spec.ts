// Connected UDP sockets, on loopback.
import test from 'ava';
import { type IpSocketAddress, recv, send, setsockopt, socketAddress, udpConnect } from 'uring';
import { leakCheck, withRing } from './_helpers.ts';
import { answering } from './_lookup.ts';
import { bound, closing } from './_loopback.ts';

leakCheck(test);

for (const family of ['IPv4', 'IPv6'] as const) {
  test(`a UDP socket is connected over ${family}: it sends there, and hears nobody else`, async (t) => {
    await withRing({}, async (ring) => {
      const peer = await bound(t, ring, family);
      const stranger = await bound(t, ring, family);
      const { fd, address } = await udpConnect(ring, peer.at);
      closing(t, fd);
      t.deepEqual(address, { ...peer.at, family });
      t.is(await ring.exec(send(fd, Buffer.from('hello'))), 5);
      t.is(await ring.exec(recv(peer.fd, Buffer.alloc(16))), 5);
      const { port } = socketAddress(fd) as IpSocketAddress;
      await ring.exec(send(stranger.fd, Buffer.from('stranger'), { to: { ...peer.at, port } }));
      await ring.exec(send(peer.fd, Buffer.from('friend'), { to: { ...peer.at, port } }));
      t.is(await ring.exec(recv(fd, Buffer.alloc(16))), 6);
    });
  });
}

test('a UDP socket takes the first address of a host that can be connected to', async (t) => {
  await withRing({}, async (ring) => {
    const { port } = await bound(t, ring);
    // Broadcasting has to be allowed first: EACCES.
    const lookup = answering(['255.255.255.255', '127.0.0.1']);
    const { fd, address } = await udpConnect(ring, { host: 'a.test', port }, { lookup });
    closing(t, fd);
    t.is(address.address, '127.0.0.1');
    const only = answering(['255.255.255.255']);
    const error = await t.throwsAsync(udpConnect(ring, { host: 'a.test', port }, { lookup: only }));
    t.like(error, { code: 'EACCES', syscall: 'connect', address: '255.255.255.255', port, host: 'a.test' });
    await ring.exec(setsockopt(fd, 'SO_BROADCAST', true));
    const socketOptions = { SO_BROADCAST: true };
    closing(t, (await udpConnect(ring, { host: 'a.test', port }, { lookup: only, socketOptions })).fd);
  });
});
