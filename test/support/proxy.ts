import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

/** Between a client and a port of this machine, to drop their connections. */
export async function startProxy(to: number) {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    const onwards = connect(to, '127.0.0.1');
    for (const one of [socket, onwards]) {
      sockets.add(one);
      one.on('error', () => undefined).on('close', () => sockets.delete(one));
    }
    socket.pipe(onwards).pipe(socket);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    port,
    drop: () => {
      for (const socket of sockets) socket.destroy();
    },
    close: () => server.close(),
  };
}
