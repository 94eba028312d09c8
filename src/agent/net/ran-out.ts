/** What the log of a host says that was away for longer than its certificate lasts. */
export const RAN_OUT =
  'the certificate of this host ran out, so nobody hears it any more: make a token with `cargoctl token create` and put ' +
  "it into the agent's --join-token-file; it joins by itself and stays the same host";
