import { adminToken, caFile, serverUrl } from '../call-server.ts';
import { loadLab } from '../state.ts';
import { type NameOption, nameOption, type Register } from './options.ts';

export const registerEnv: Register = (program) => {
  program
    .command('env')
    .description('print what `cargoctl` needs to reach this lab: eval "$(cargo-lab env)"')
    .addOption(nameOption())
    .action(({ name }: NameOption) => {
      const lab = loadLab(name);
      const variables = { CARGO_SERVER: serverUrl(lab), CARGO_TOKEN: adminToken(lab), CARGO_CA: caFile(lab) };
      for (const [variable, value] of Object.entries(variables)) {
        console.log(`export ${variable}='${value.replaceAll("'", "'\\''")}'`);
      }
    });
};
