/** A small body of each format: flows, and what is odd about the format. */
export const samples: Record<string, string> = {
  "aws-vpc": `version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status
2 111122223333 eni-0a1b 10.1.2.3 198.51.100.7 49152 443 6 10 8400 1700000000 1700000060 ACCEPT OK
2 111122223333 eni-0a1b - - - - - - - 1700000000 1700000060 - NODATA
2 111122223333 eni-0a1b 2001:db8::1 2001:db8::2 5353 53 17 1 80 1700000010 1700000010 REJECT OK

2 111122223333 eni-0a1b 10.1.2.3 198.51.100.7 49152 70000 6 10 8400 1700000000 1700000060 ACCEPT OK
version account-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status tcp-flags
3 111122223333 10.1.2.3 198.51.100.7 49152 22 6 1 40 1700000000 1700000001 ACCEPT OK 18
`,
  "zeek-conn": `#separator \\x09
#path	conn
#fields	ts	uid	id.orig_h	id.orig_p	id.resp_h	id.resp_p	proto	service	duration	orig_bytes	resp_bytes	conn_state	history	orig_pkts	resp_pkts
1700000000.123456	CaAaAa1	10.0.0.5	50000	203.0.113.9	443	tcp	ssl	1.9	500	3000	SF	ShADadFf	10	12
1700000001.5	CaAaAa2	fe80::1%eth0	135	ff02::1	136	icmp	-	-	-	-	OTH	-	1	0
1700000002.5	CaAaAa3	10.0.0.5	50001	203.0.113.10	53	udp	dns	0.000001	40	-	S0	D	1	0
XXXXXXXXXX.XXXXXX	CaAaAa4	10.0.0.5	50001	203.0.113.10	53	udp	dns	0.000001	40	-	S0	D	1	0
#close	2023-11-14-22-13-20
`,
  "zeek-conn-json": `{"ts":1700000000.123456,"uid":"C1","id.orig_h":"10.0.0.5","id.orig_p":50000,"id.resp_h":"203.0.113.9","id.resp_p":443,"proto":"tcp","duration":9.5e-07,"orig_bytes":500,"resp_bytes":3000,"conn_state":"S1","history":"ShADad","orig_pkts":10,"resp_pkts":12}
{"_path":"dns","ts":1700000000.2,"uid":"C1","id.orig_h":"10.0.0.5","id.orig_p":50000,"id.resp_h":"203.0.113.9","id.resp_p":53}
{"ts":"2023-11-14T22:13:20.5Z","id_orig_h":"10.0.0.5","id_orig_p":8,"id_resp_h":"203.0.113.9","id_resp_p":0,"proto":"icmp","conn_state":"OTH","orig_pkts":2,"resp_pkts":2,"note":"grüß"}
{"ts":1700000003,"uid":"C2","id.orig_h":"10.0.0.5"
{"ts":1700000004,"id.orig_h":"10.0.0.256","id.orig_p":1,"id.resp_h":"203.0.113.9","id.resp_p":2,"proto":"udp"}
`,
  "suricata-eve": `{"timestamp":"2023-11-14T23:13:30.000000+0100","flow_id":1,"event_type":"flow","src_ip":"10.0.0.5","src_port":50000,"dest_ip":"203.0.113.9","dest_port":443,"proto":"TCP","flow":{"pkts_toserver":8,"pkts_toclient":7,"bytes_toserver":900,"bytes_toclient":5000,"start":"2023-11-14T23:13:20.500000+0100","end":"2023-11-14T23:13:21.999999+0100","state":"closed"},"tcp":{"tcp_flags":"1b","tcp_flags_ts":"1b","tcp_flags_tc":"1a"}}
{"timestamp":"2023-11-14T23:13:30.000000+0100","event_type":"dns","src_ip":"10.0.0.5","dest_ip":"10.0.0.1"}
{"flow_id":2,"event_type":"flow","src_ip":"10.0.0.5","src_port":50001,"dest_ip":"203.0.113.10","dest_port":53,"proto":"UDP","flow":{"pkts_toserver":1,"pkts_toclient":0,"bytes_toserver":80,"bytes_toclient":0,"start":"2023-11-14T22:13:20Z","end":"2023-11-14T22:13:20Z","state":"new"}}
{"flow_id":3,"event_type":"flow","src_ip":"10.0.0.5","dest_ip":"203.0.113.10","proto":"ICMP","icmp_type":3,"icmp_code":1,"flow":{"start":"yesterday","end":"2023-11-14T22:13:20Z"}}
`,
  "argus-binetflow": `StartTime,Dur,Proto,SrcAddr,Sport,Dir,DstAddr,Dport,State,sTos,dTos,TotPkts,TotBytes,SrcBytes,Label
2023/11/14 22:13:20.500617,12.5,tcp,10.0.0.5,50000,   ->,203.0.113.9,443,FSPA_FSPA,0,0,30,9000,2000,flow=Normal
1700000000.000001,0.1,udp,10.0.0.5,50001,  <->,203.0.113.10,53,CON,0,0,2,200,80,
1700000000.5,0,icmp,10.0.0.5,0x0303,   ->,203.0.113.10,0x1234,URP,0,,1,70,70,
1700000000.5,0,arp,10.0.0.5,,  who,10.0.0.1,,INT,,,1,42,42,
1700000000.5,0,man,0,0,,12,1,STP,,,0,1000,0,
1700000000.5,0,igmp,10.0.0.5,,   ->,224.0.0.1,,INT,0,,1,54,54,
1700000000.5,0,tcp,10.0.0.5,1,   ->,10.0.0.6,2,INT,0,,1,54,99,
`,
  "nfdump-csv": `ts,te,td,sa,da,sp,dp,pr,flg,fwd,stos,ipkt,ibyt,opkt,obyt
2023-11-14 22:13:20,2023-11-14 22:13:25,5.000,10.0.0.5,203.0.113.9,50000,443,TCP,...AP.SF,0,0,10,900,0,0
2023-11-14 22:13:20.250,2023-11-14 22:13:20.250,0.000,10.0.0.5,203.0.113.9,0,771,ICMP,........,0,0,1,60,0,0
2023-11-14 22:13:20,2023-11-14 22:13:19,0.000,10.0.0.5,203.0.113.9,50000,443,TCP,......S.,0,0,10,900,0,0
Summary
flows,bytes,packets,avg_bps,avg_pps,avg_bpp
3,1860,21,0,0,0
`,
  "nfdump-json": `[
{
	"type" : "FLOW",
	"first" : "2023-11-14T22:13:20.997",
	"last" : "2023-11-14T22:13:21.997",
	"in_packets" : 1,
	"in_bytes" : 40,
	"proto" : 6,
	"tcp_flags" : "CE....S.",
	"src_port" : 10164,
	"dst_port" : 30120,
	"src4_addr" : "10.0.0.5",
	"dst4_addr" : "203.0.113.9",
	"label" : "a \\"{[\\\\"
},
{ "type" : "EVENT", "src4_addr" : "10.0.0.5" },
{ "type" : "FLOW", "first" : "2023-11-14T22:13:20.997", "last" : "2023-11-14T22:13:20.997", "in_packets" : 2,
  "in_bytes" : 80, "out_packets" : 1, "proto" : "ICMP6", "icmp_type" : 128, "icmp_code" : 0,
  "src6_addr" : "2001:db8::5", "dst6_addr" : "2001:db8::9" },
{ "type" : "FLOW", "first" : "2023-11-14T22:13:20.997", "src4_addr" : "10.0.0.5" }
]
`,
  json: `{"@timestamp":"2023-11-14T22:13:20.000Z","event":{"id":"a-1","start":"2023-11-14T22:13:20.000Z","duration":1500000000},"source":{"ip":"10.0.0.5","port":50000,"bytes":100,"packets":2},"destination":{"ip":"203.0.113.9","port":443,"bytes":900,"packets":3},"network":{"transport":"tcp","bytes":1000}}
{"source_ip":"10.0.0.5","source_port":"50001","destination_ip":"203.0.113.9","destination_port":"53","protocol":"udp","bytes":80,"packets":1,"start":1700000000,"end":1700000001000}

{"source_ip":"10.0.0.5","destination_ip":"203.0.113.9","protocol":1,"timestamp":1700000000}
{"source_ip":"10.0.0.5","destination_ip":"203.0.113.9","protocol":"telepathy","timestamp":1700000000}
{"srcaddr":"10.0.0.5","dstaddr":"-","log_status":"NODATA","start":1700000000}
not JSON
`,
};
