import type { Finding } from '../../api/plan.ts';
import type { EngineInfo } from '../docker/index.ts';

/** Daemons whose containers see other user ids than the files on disk have. */
export function engineFindings(info: EngineInfo): Finding[] {
  const options = (info.SecurityOptions ?? []).map((option) => /name=([^,]+)/.exec(option)?.[1]);
  const special = options.find((option) => option === 'rootless' || option === 'userns');
  if (special === undefined) return [];
  const what = special === 'rootless' ? 'runs without root' : 'remaps user ids (userns-remap)';
  const message = `the Docker daemon of this host ${what}: owners of files would not be the same on another host`;
  return [{ level: 'blocker', code: 'user-ids-remapped', subject: special, message }];
}
