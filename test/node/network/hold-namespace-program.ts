/** Holds a namespace, as the command does that `sallyport exec --netns` starts. */
import { holdNamespace } from '../../../src/node/network/namespace-holder.ts';

await holdNamespace();
