// Everything a page needs to talk to the server, under one address.

export { ChannelStreamConnection } from "./channelstream.js";
export { ChannelStreamSigner } from "./signer.js";
