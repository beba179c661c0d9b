#!/usr/bin/env bash
# A Slurm of one node on this machine, as it is, on Debian without systemd: start_slurm.sh [noacct|acct]. Needs root.
#   noacct  slurmctld, slurmd, munge: `sacct` says that accounting is disabled
#   acct    with MariaDB and slurmdbd, too: `sacct` works
# From the environment: DIR, of its state and logs; CPUS and MEM (MB) of the node, DEFMEM (MB a CPU).
# A Slurm that runs in the other mode is to be stopped first, by stop_slurm.sh.
set -euo pipefail
mode=${1:-noacct} DIR=${DIR:-/tmp/sslkit-slurm} HOST=$(hostname -s)
packages=(slurmctld slurmd slurm-client munge)
[ "$mode" = acct ] && packages+=(slurmdbd mariadb-server)
missing=()
for package in "${packages[@]}"; do dpkg -s "$package" >/dev/null 2>&1 || missing+=("$package"); done
if [ ${#missing[@]} -gt 0 ]; then
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    apt-get install -qq -y --no-install-recommends "${missing[@]}" >/dev/null
fi
grep -qw "$HOST" /etc/hosts || echo "127.0.0.1 $HOST" >>/etc/hosts
mkdir -p "$DIR"/{ctld,spool,log,run} /etc/slurm
chmod 755 "$DIR"

# Debian's package makes /etc/munge/munge.key; the folder of its socket must belong to munge.
install -d -o munge -g munge -m 755 /run/munge
pgrep -x munged >/dev/null || runuser -u munge -- /usr/sbin/munged
munge -n | unmunge >/dev/null

accounting="AccountingStorageType=accounting_storage/none"
if [ "$mode" = acct ]; then
    accounting="AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=localhost
AccountingStoragePort=16819"
    socket=/run/mysqld/mysqld.sock
    install -d -o mysql -g mysql /run/mysqld
    if ! mysqladmin -S $socket ping >/dev/null 2>&1; then
        mariadbd-safe --user=mysql --skip-networking --innodb-buffer-pool-size=64M >"$DIR/log/mariadb.log" 2>&1 &
        for _ in $(seq 60); do mysqladmin -S $socket ping >/dev/null 2>&1 && break; sleep 0.5; done
    fi
    mysql -e "create database if not exists slurm_acct_db;
        create user if not exists 'slurm'@'localhost' identified by 'slurm';
        grant all on slurm_acct_db.* to 'slurm'@'localhost'; flush privileges;"
    cat >/etc/slurm/slurmdbd.conf <<CONF
AuthType=auth/munge
DbdHost=localhost
DbdPort=16819
SlurmUser=root
StorageType=accounting_storage/mysql
StorageHost=localhost
StorageUser=slurm
StoragePass=slurm
StorageLoc=slurm_acct_db
LogFile=$DIR/log/slurmdbd.log
PidFile=$DIR/run/slurmdbd.pid
CONF
    chmod 600 /etc/slurm/slurmdbd.conf
fi

# cred_expire: a requeued job waits one second longer than that before it may start, by default two minutes.
cat >/etc/slurm/slurm.conf <<CONF
ClusterName=test
SlurmctldHost=$HOST(127.0.0.1)
SlurmUser=root
SlurmctldPort=16817
SlurmdPort=16818
AuthType=auth/munge
AuthInfo=cred_expire=5
StateSaveLocation=$DIR/ctld
SlurmdSpoolDir=$DIR/spool
SlurmctldPidFile=$DIR/run/slurmctld.pid
SlurmdPidFile=$DIR/run/slurmd.pid
SlurmctldLogFile=$DIR/log/slurmctld.log
SlurmdLogFile=$DIR/log/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SlurmdParameters=config_overrides
MpiDefault=none
ReturnToService=2
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=5
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU=${DEFMEM:-2500}
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=1
JobAcctGatherParams=OverMemoryKill
KillWait=5
MinJobAge=${MINJOBAGE:-300}
JobRequeue=1
$accounting
NodeName=$HOST NodeAddr=127.0.0.1 CPUs=${CPUS:-2} RealMemory=${MEM:-6000} State=UNKNOWN
PartitionName=main Nodes=$HOST Default=YES MaxTime=INFINITE State=UP
CONF
rm -f /etc/slurm/cgroup.conf
alive() { [ -s "$DIR/run/$1.pid" ] && kill -0 "$(cat "$DIR/run/$1.pid")" 2>/dev/null; }
if [ "$mode" = acct ] && ! alive slurmdbd; then
    slurmdbd
    for _ in $(seq 60); do sacctmgr -n list cluster >/dev/null 2>&1 && break; sleep 0.5; done
fi
alive slurmctld || slurmctld
alive slurmd || slurmd -N "$HOST"
for _ in $(seq 60); do timeout 2 sinfo -h -o %T 2>/dev/null | grep -Eq 'idle|mixed|allocated' && break; sleep 0.5; done
timeout 5 sinfo
